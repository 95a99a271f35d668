"""Callbacks that are slow, raise or close do not affect other callbacks."""

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from colugo import MessageInfo, Node
from colugo.errors import PeerLostError
from tests.programs.isolated import QUEUE
from tests.support.essentials import Collector, run, seconds, until
from tests.support.processes import answer, program

LOOP_LOGGERS = ("asyncio", "tornado.application", "tornado.general")
P99_MS = 10
SLOW = ["awaiting", "on a thread"]


@pytest.fixture(autouse=True)
def nothing_fails_on_the_loop(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Fail if the loop has logged an exception of a handler."""
    yield
    records = caplog.get_records("call")
    assert [record.getMessage() for record in records if record.name in LOOP_LOGGERS] == []


def measure(slow: str, count: int, realm: str) -> Mapping[str, Any]:
    """The latencies of a quick callback beside a slow one that gets ten times as much."""

    async def main() -> Mapping[str, Any]:
        async with Node("a") as node:
            quick, flood = node.add_publisher("quick"), node.add_publisher("slow")
            await quick.ready()
            await flood.ready()
            answered = asyncio.create_task(asyncio.to_thread(answer, process, "done", 60))
            while not answered.done():
                for _ in range(10):
                    flood.send(b"x" * 100)
                quick.send(b"x")
                await asyncio.sleep(0.001)
            return await answered

    with program("isolated", realm, slow=slow, count=count) as process:
        return run(main(), within=60)


def check_isolation(realm: str, slow: str, count: int) -> None:
    """The best of three: a machine may have other work in between."""
    p99s: list[float] = []
    for _ in range(3):
        found = measure(slow, count, realm)
        print(f"slow callback {slow}: {found}")
        # handed to the callback, or taken out for the thread, or waiting, or dropped
        waits = found["slow received"] - found["slow calls"] - found["slow dropped"]
        assert 0 <= waits <= 2 * QUEUE
        assert found["slow dropped"] > 0
        assert found["slow lost"] == 0
        assert found["slow calls"] >= 1
        p99s.append(found["p99"])
        if p99s[-1] < seconds(P99_MS):
            return
    pytest.fail(f"p99 {p99s} ms")


@pytest.mark.parametrize("slow", SLOW)
def test_a_slow_callback_does_not_delay_the_messages_of_others(realm: str, slow: str) -> None:
    check_isolation(realm, slow, 300)


@pytest.mark.slow
@pytest.mark.measures
@pytest.mark.parametrize("slow", SLOW)
def test_a_slow_callback_does_not_delay_the_messages_of_others_for_long(realm: str, slow: str) -> None:
    check_isolation(realm, slow, 5000)


# --- callbacks that raise and close, in the midst of what came together


class TroubleError(Exception):
    """The exception that callbacks of these tests raise."""


def raise_at_times(message: str) -> None:
    if int(message) % 3 == 0:
        raise TroubleError


def plain(collector: Collector) -> Callable[..., Any]:
    def callback(message: str) -> None:
        collector(message)
        raise_at_times(message)

    return callback


def with_info(collector: Collector) -> Callable[..., Any]:
    def callback(message: str, info: MessageInfo) -> None:
        collector(message)
        raise_at_times(message)

    return callback


def coroutine(collector: Collector) -> Callable[..., Any]:
    async def callback(message: str) -> None:
        collector(message)
        await asyncio.sleep(0)
        raise_at_times(message)

    return callback


def threaded(collector: Collector) -> Callable[..., Any]:
    loop = asyncio.get_running_loop()

    def callback(message: str) -> None:
        loop.call_soon_threadsafe(collector, message)
        raise_at_times(message)

    return callback


@pytest.mark.parametrize("make", [plain, with_info, coroutine, threaded])
def test_a_callback_that_raises_in_the_midst_of_a_batch_misses_none_and_keeps_the_order(
    make: Callable[[Collector], Callable[..., Any]],
) -> None:
    async def main() -> None:
        async with Node("a") as node:
            received = Collector()
            publisher = node.add_publisher("t")
            node.add_subscriber("t", make(received), executor=make is threaded)
            await publisher.ready()
            expected = [str(number) for number in range(500)]
            for message in expected:
                publisher.send(message)
            assert await received.reach(500) == expected
            await until(lambda: node.callback_errors == 167)

    run(main())


def test_lists_go_on_after_one_that_raised() -> None:
    async def main() -> None:
        async with Node("a") as node:
            received: list[str] = []

            def on_list(messages: list[str]) -> None:
                received.extend(messages)
                raise TroubleError

            publisher = node.add_publisher("t")
            node.add_subscriber("t", on_list, batch=True)
            await publisher.ready()
            expected = [str(number) for number in range(1000)]
            for message in expected:
                publisher.send(message)
                if int(message) % 100 == 0:
                    await asyncio.sleep(0)
            await until(lambda: len(received) == 1000)
            assert received == expected
            assert node.callback_errors > 1

    run(main())


@pytest.mark.parametrize(
    "options", [{}, {"executor": True}, {"batch": True}, {"executor": True, "batch": True}]
)
@pytest.mark.parametrize("flow", ["drop", "wait"])
def test_a_callback_may_close_its_subscriber_in_the_midst_of_a_batch(
    options: dict[str, Any], flow: Any
) -> None:
    async def main() -> None:
        async with Node("a") as node:
            publisher = node.add_publisher("t", flow=flow, hwm=1000)
            received: list[str] = []
            others = Collector()

            def close(messages: list[str] | str) -> None:
                received.extend([messages] if isinstance(messages, str) else messages)
                if "13" in received:
                    subscriber.close()

            subscriber = node.add_subscriber("t", close, **options)
            node.add_subscriber("t", others)
            await publisher.ready(2)
            for number in range(300):
                publisher.send(str(number))
            assert len(await others.reach(300)) == 300
            await until(lambda: subscriber.closed and publisher.subscribers == 1)
            handled = len(received)
            assert received == [str(number) for number in range(handled)]
            if not options:
                assert handled == 14
            publisher.send("more")
            await others.reach(301)
            assert len(received) == handled
            assert node.callback_errors == 0

    run(main())


def test_a_callback_may_close_the_publisher_whose_batch_it_is_in() -> None:
    async def main() -> None:
        async with Node("a") as node:
            received = Collector()

            def close(message: str) -> None:
                received(message)
                if message == "13":
                    publisher.close()

            publisher = node.add_publisher("t")
            node.add_subscriber("t", close)
            await publisher.ready()
            for number in range(100):
                publisher.send(str(number))
            assert await received.reach(100) == [str(number) for number in range(100)]
            assert node.callback_errors == 0

    run(main())


def test_a_callback_may_stop_its_node_in_the_midst_of_a_batch() -> None:
    async def main() -> None:
        received: list[str] = []
        async with Node("a") as a, Node("b") as b:

            def stop(message: str) -> None:
                received.append(message)
                if message == "13":
                    b.stop()

            publisher = a.add_publisher("t")
            b.add_subscriber("t", stop)
            await publisher.ready()
            for number in range(1000):
                publisher.send(str(number))
            await b.wait_closed()
        assert received == [str(number) for number in range(len(received))]
        assert len(received) >= 14

    run(main())


def test_a_server_that_closes_itself_in_the_midst_of_a_batch_has_sent_the_replies_before() -> None:
    async def main() -> None:
        async with Node("a") as a, Node("b") as b:

            def serve(message: str) -> str:
                if message == "4":
                    server.close()
                return message

            server = a.add_reply_server("t", serve)
            client = b.add_request_client("t")
            await client.ready()
            requests = [client.request(str(number)) for number in range(10)]
            results = await asyncio.gather(*requests, return_exceptions=True)
            assert results[:4] == ["0", "1", "2", "3"]
            assert all(isinstance(result, PeerLostError) for result in results[4:])

    run(main())


def test_a_reply_callback_may_close_its_client_and_no_other_is_called_then() -> None:
    async def main() -> None:
        async with Node("a") as node:
            received = Collector()

            def close(reply: str) -> None:
                received(reply)
                if reply == "3":
                    client.close()

            node.add_reply_server("t", lambda message: message)
            client = node.add_request_client("t")
            await client.ready()
            for number in range(10):
                client.send(str(number), close)
            await received.reach(4)
            await asyncio.sleep(0.05)  # nothing to wait for: no more may come
            assert received.items == ["0", "1", "2", "3"]
            assert client.stats.pending == 0

    run(main())


def test_a_reply_callback_that_raises_keeps_no_other_from_its_reply() -> None:
    async def main() -> None:
        async with Node("a") as node:
            received = Collector()

            def take(reply: str) -> None:
                received(reply)
                raise TroubleError

            def serve(message: str) -> str:
                if message == "5":
                    raise TroubleError
                return message

            node.add_reply_server("t", serve)
            client = node.add_request_client("t")
            await client.ready()
            failed = Collector()
            for number in range(10):
                client.send(str(number), take, error_handler=failed)
            expected = [str(number) for number in range(10) if number != 5]
            assert await received.reach(9) == expected
            await failed.reach(1)
            assert node.callback_errors == 10

    run(main())


def test_readers_that_join_while_others_leave_get_what_is_sent() -> None:
    async def main() -> None:
        async with Node("a") as a, Node("b") as b:
            publisher = a.add_publisher("t")
            before: list[Any] = []
            for turn in range(150):
                received = [Collector() for _ in range(4)]
                new = [b.add_subscriber("t", collector) for collector in received]
                for subscriber in before:
                    subscriber.close()
                for subscriber in new:
                    await subscriber.ready()
                publisher.send(str(turn))
                for collector in received:
                    assert await collector.reach(1) == [str(turn)]
                before = new

    run(main())


def test_what_a_thread_has_not_got_to_when_its_subscriber_is_closed_is_counted_as_dropped() -> None:
    async def main() -> None:
        async with Node("a") as a, Node("b") as b:
            entered, go_on = threading.Event(), threading.Event()

            def work(message: bytes) -> None:
                del message
                entered.set()
                go_on.wait(seconds(5))

            publisher = a.add_publisher("t")
            subscriber = b.add_subscriber("t", work, executor=True)
            await publisher.ready()
            for number in range(50):
                publisher.send(b"%d" % number)
            await until(lambda: subscriber.stats.received == 50 and entered.is_set())
            subscriber.close()
            go_on.set()
            await until(lambda: subscriber.stats.dropped > 0)
            handled = subscriber.stats.received - subscriber.stats.dropped
            assert 1 <= handled < 50

    run(main())
