"""Starts and stops with messages under way, with every option: nothing may be left behind."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import pytest

from colugo import ClosedError, Node
from colugo.patterns.pubsub.publisher import Publisher
from tests.support.essentials import run, wait_until
from tests.support.leftovers import nothing_left, state


def has_sent(publisher: Publisher, count: int) -> bool:
    """Whether it has sent more than these."""
    return publisher.stats.sent > count


async def send_for_ever(publisher: Publisher) -> None:
    with contextlib.suppress(ClosedError):
        while True:
            await publisher.send_wait(b"x" * 100)


async def cycle(number: int) -> None:
    """One life of two nodes, whose stop comes in the midst of everything."""
    async with Node("a") as a, Node("b") as b:
        retaining = a.add_publisher("retaining", retain=50)
        waiting = a.add_publisher("waiting", flow="wait", hwm=20 + number)
        conflating = a.add_publisher("conflating", conflate=True)
        for _ in range(100):
            retaining.send("kept")
        b.add_subscriber("retaining", lambda messages: None, batch=True)
        b.add_subscriber("retaining", lambda messages: time.sleep(0.001), batch=True, executor=True)
        b.add_subscriber("waiting", lambda message: time.sleep(0.0002), executor=True, queue=5)
        b.add_subscriber("conflating", lambda message: None, copy=False)
        iterated = b.add_subscriber("waiting", queue=3)

        async def slowly(message: bytes) -> None:
            await asyncio.sleep(0.0002)

        b.add_subscriber("waiting", slowly, queue=4)
        b.add_reply_server("r", lambda message: message)
        client = a.add_request_client("r")
        await retaining.ready(2)
        await waiting.ready(3)
        await conflating.ready()
        sending = [asyncio.create_task(send_for_ever(waiting)) for _ in range(2)]
        for _ in range(5):
            await anext(iterated)
            retaining.send(b"y" * 40_000)
            conflating.send("newest")
            client.send("asked")
        # then it stops, at once: with messages, requests, tasks and threads under way
    await asyncio.gather(*sending)
    left = [task.get_name() for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    assert left == []


def on_one_loop(count: int) -> None:
    async def main() -> None:
        for number in range(count):
            await cycle(number)

    run(main(), within=100)


def on_loops_of_their_own(count: int) -> None:
    for number in range(count):
        run(cycle(number))


def on_threads(count: int) -> None:
    for _ in range(count):
        with Node("a").running() as a, Node("b").running() as b:
            publisher = a.add_publisher("t", flow="wait", hwm=10)
            b.add_subscriber("t", lambda message: time.sleep(0.001), executor=True, queue=2)
            a.run(publisher.ready(), timeout_ms=5000)

            def begin(publisher: Publisher = publisher) -> None:
                asyncio.ensure_future(send_for_ever(publisher))  # noqa: RUF006 - it ends with the publisher

            a.loop.add_callback(begin)
            assert wait_until(partial(has_sent, publisher, 10))


@pytest.mark.parametrize("live", [on_one_loop, on_loops_of_their_own, on_threads])
def test_stops_in_the_midst_of_messages_leave_nothing(live: Callable[[int], None]) -> None:
    live(2)
    with nothing_left():
        live(5)


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("live", [on_one_loop, on_loops_of_their_own, on_threads])
def test_a_hundred_stops_in_the_midst_of_messages_leave_nothing(live: Callable[[int], None]) -> None:
    live(2)
    with nothing_left():
        live(100)


def close_publisher(a: Node, b: Node) -> Coroutine[Any, Any, None]:
    """A publisher that comes and goes while its subscriber stays."""

    async def once() -> None:
        publisher = a.add_publisher("t", retain=10)
        await publisher.ready()
        for _ in range(200):
            publisher.send("x")
        publisher.close()

    b.add_subscriber("t", lambda message: None)
    return repeat(once)


def close_subscriber(a: Node, b: Node) -> Coroutine[Any, Any, None]:
    """Subscribers that come and go in their callbacks while the publisher stays."""
    publisher = a.add_publisher("t", flow="wait", hwm=50)

    async def once() -> None:
        closed = asyncio.Event()
        loop = asyncio.get_running_loop()

        def close(message: str) -> None:
            subscriber.close()
            loop.call_soon_threadsafe(closed.set)

        subscriber = b.add_subscriber("t", close, executor=True)
        await subscriber.ready()
        for _ in range(50):
            await publisher.send_wait("x")
        await closed.wait()

    return repeat(once)


async def repeat(once: Callable[[], Coroutine[Any, Any, None]]) -> None:
    for _ in range(3):
        await once()
    before = state()
    for _ in range(30):
        await once()
    loop = asyncio.get_running_loop()
    within = loop.time() + 5
    while any(now > before[what] + 2 for what, now in state().items()):
        assert loop.time() < within, (before, state())
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("make", [close_publisher, close_subscriber])
def test_sockets_that_come_and_go_within_a_node_leave_nothing(
    make: Callable[[Node, Node], Coroutine[Any, Any, None]],
) -> None:
    async def main() -> None:
        async with Node("a") as a, Node("b") as b:
            await make(a, b)

    run(main(), within=40)
