"""`flow="wait"`: a publisher that waits for its readers, and for how long."""

import asyncio
import signal
from contextlib import ExitStack
from typing import Any

import pytest

from colugo import ClosedError, Node
from colugo.errors import FlowError
from colugo.patterns.pubsub.publisher import Publisher
from tests.support.essentials import Collector, run, seconds, until
from tests.support.processes import answer, program

SLOW_S = 0.0004
"""A pause after each message: about 2,000 of them a second."""
STYLES: dict[str, dict[str, Any]] = {
    "slow": {"style": "plain", "pause_s": SLOW_S},
    "fast": {"style": "plain"},
    "iterating": {"style": "iterate", "subscriber": {"queue": 5}},
    "on a thread": {"style": "plain", "subscriber": {"executor": True, "queue": 20}},
    "in batches": {"style": "batch", "subscriber": {"batch": True}},
    "killed": {"style": "plain"},
    "stopped": {"style": "plain"},
}
STAY = [name for name in STYLES if name not in ("killed", "stopped")]


async def send_all(publisher: Publisher, name: str, count: int) -> None:
    for number in range(count):
        await publisher.send_wait(f"{name} {number}".encode())


async def ten_turns() -> None:
    """Other work of the loop."""
    for _ in range(10):
        await asyncio.sleep(0.005)


def check_wait(realm: str, *, count: int, senders: int, stall_ms: int) -> None:
    """Send to readers of all kinds, one of which is killed meanwhile, and one stopped for too long."""
    total = count * senders

    async def main() -> None:
        async with Node("a") as node:
            publisher = node.add_publisher("t", flow="wait", hwm=200, stall_ms=stall_ms)
            await publisher.ready(len(STYLES))
            async with asyncio.TaskGroup() as tasks:
                for sender in range(senders):
                    tasks.create_task(send_all(publisher, f"s{sender}", count))
                await until(lambda: publisher.stats.sent > total // 4)
                readers["killed"].kill()
                await until(lambda: publisher.stats.sent > total // 2)
                readers["stopped"].signal(signal.SIGSTOP)
                await until(lambda: publisher.stats.behind == 1, within=stall_ms / 1000 + 5)
            assert publisher.subscribers == len(STYLES) - 1
            assert publisher.stats.behind == 1
            accounts = {name: await asyncio.to_thread(answer, readers[name], "done") for name in STAY}
            readers["stopped"].signal(signal.SIGCONT)
            left_behind = await asyncio.to_thread(answer, readers["stopped"], "done")
            assert publisher.stats.dropped == left_behind["lost"]
        for account in accounts.values():
            assert account["lost"] == account["dropped"] == account["disorder"] == 0
            assert account["senders"] == {f"s{sender}": count for sender in range(senders)}
        assert 0 < left_behind["lost"] == total - left_behind["got"]
        assert left_behind["disorder"] == 0
        assert [line for line in readers["stopped"].lines if "no longer waits for this subscriber" in line]

    with ExitStack() as stack:
        readers = {
            name: stack.enter_context(program("reader", realm, expected=total, **options))
            for name, options in STYLES.items()
        }
        run(main(), within=120)


@pytest.mark.slow
@pytest.mark.usefixtures("transport")
def test_who_keeps_up_loses_nothing_and_who_does_not_is_left_behind_and_counts_it(realm: str) -> None:
    check_wait(realm, count=700, senders=3, stall_ms=300)


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_the_same_for_many_messages_and_a_stall_of_five_seconds(realm: str) -> None:
    check_wait(realm, count=10_000, senders=4, stall_ms=5000)


def test_who_sends_in_a_tight_loop_leaves_turns_to_the_rest_of_the_loop() -> None:
    async def main() -> None:
        async with Node("a") as a, Node("b") as b:
            publisher = a.add_publisher("t", flow="wait")
            b.add_subscriber("t", lambda message: None)
            await publisher.ready()
            turns = asyncio.create_task(ten_turns())
            sent = 0
            while not turns.done() and sent < 5_000_000:
                await publisher.send_wait(b"x")
                sent += 1
            assert turns.done()

    run(main())


@pytest.mark.parametrize("hwm", [16, 1000])
def test_several_tasks_that_wait_take_turns(hwm: int) -> None:
    async def main() -> None:
        async with Node("a") as a, Node("b") as b:
            publisher = a.add_publisher("t", flow="wait", hwm=hwm)
            received = Collector()

            async def slowly(message: bytes) -> None:
                received(message)
                await asyncio.sleep(0)

            b.add_subscriber("t", slowly, queue=5)
            await publisher.ready()

            async def send_for_ever(name: bytes) -> None:
                while True:
                    await publisher.send_wait(name)

            names = [b"a", b"b", b"c", b"d"]
            tasks = [asyncio.create_task(send_for_ever(name)) for name in names]
            await received.reach(5 * hwm)
            await until(lambda: set(received.items) == set(names))
            for task in tasks:
                task.cancel()

    run(main())


def test_send_raises_when_a_reader_cannot_take_more_and_sends_again_when_it_can() -> None:
    async def main() -> None:
        async with Node("a") as a, Node("b") as b:
            publisher = a.add_publisher("t", flow="wait", hwm=10)
            received = Collector()
            go = asyncio.Event()

            async def late(message: int) -> None:
                await go.wait()
                received(message)

            b.add_subscriber("t", late, queue=1)
            await publisher.ready()
            for number in range(10):
                publisher.send(str(number))
            with pytest.raises(FlowError, match="send_wait"):
                publisher.send("refused")
            waiting = asyncio.ensure_future(publisher.send_wait("last"))
            await asyncio.sleep(0)
            assert not waiting.done()
            go.set()
            await waiting
            assert await received.reach(11) == [*map(str, range(10)), "last"]

    run(main())


@pytest.mark.parametrize("stop", ["node", "publisher"])
def test_a_stop_lets_all_that_wait_fail(stop: str) -> None:
    async def main() -> None:
        async with Node("b") as b:
            subscriber = b.add_subscriber("t", queue=1)
            async with Node("a") as a:
                publisher = a.add_publisher("t", flow="wait", hwm=5, stall_ms=300)
                await publisher.ready()

                async def send_for_ever() -> None:
                    while True:
                        await publisher.send_wait("x")

                tasks = [asyncio.create_task(send_for_ever()) for _ in range(3)]
                await until(lambda: publisher.stats.sent >= 5)
                await asyncio.sleep(0)
                a.stop() if stop == "node" else publisher.close()
                done, _ = await asyncio.wait(tasks, timeout=seconds(5))
                assert len(done) == 3
                for task in done:
                    with pytest.raises(ClosedError):
                        await task
            assert subscriber.stats.lost == 0

    run(main())


def test_a_task_that_is_cancelled_while_it_waits_holds_up_nobody() -> None:
    async def main() -> None:
        async with Node("a") as a, Node("b") as b:
            publisher = a.add_publisher("t", flow="wait", hwm=1)
            subscriber = b.add_subscriber("t", queue=1)
            await publisher.ready()
            publisher.send("taken")
            with pytest.raises(FlowError):
                publisher.send("refused")
            waiting = [
                asyncio.ensure_future(publisher.send_wait(name)) for name in ("first", "second", "third")
            ]
            await asyncio.sleep(0)
            waiting[0].cancel()
            waiting[1].cancel()
            received: list[str] = []
            async with asyncio.timeout(seconds(5)):
                while "third" not in received:
                    received.append(await anext(subscriber))
            await waiting[2]
            assert not {"first", "second"} & set(received)
            assert subscriber.stats.lost == subscriber.stats.dropped == 0

    run(main())


def test_a_reader_that_comes_and_goes_while_all_wait_holds_up_nobody() -> None:
    async def main() -> None:
        async with Node("a") as a, Node("b") as b:
            publisher = a.add_publisher("t", flow="wait", hwm=20, stall_ms=60_000)
            received = Collector()
            b.add_subscriber("t", received)
            await publisher.ready()
            sending = asyncio.create_task(send_all(publisher, "s", 2000))
            for _ in range(10):
                idle = b.add_subscriber("t", queue=1)  # takes nothing: all wait for it
                await idle.ready()
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(asyncio.shield(sending), 0.02)
                idle.close()
            await sending
            assert len(await received.reach(2000)) == 2000

    run(main())
