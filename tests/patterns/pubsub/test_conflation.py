"""`conflate=True` and readers that do not keep up: they get the newest, and nothing piles up."""

import asyncio
import signal
from functools import partial

import pytest

from colugo import Node
from tests.support.essentials import Collector, run, until
from tests.support.processes import MIB, MemoryWatch, answer, program


def ends_with(collector: Collector, message: str) -> bool:
    """Return True if this message is the latest."""
    return collector.items[-1:] == [message]


def check_conflation(realm: str, *, count: int, size: int) -> None:
    """Send faster than a reader handles, with and without a stall; the last message must come."""

    async def main() -> None:
        async with Node("a") as node:
            publisher = node.add_publisher("t", conflate=True)
            await publisher.ready(2)
            payload = bytes(size)
            with MemoryWatch(slow) as slow_memory, MemoryWatch(stopped) as stopped_memory:
                stopped.signal(signal.SIGSTOP)
                for number in range(count):
                    publisher.send(b"s %d" % number + b" " + payload)
                    await asyncio.sleep(0)
                accounts = [await asyncio.to_thread(answer, slow, "done")]
                stopped.signal(signal.SIGCONT)
                accounts.append(await asyncio.to_thread(answer, stopped, "done"))
            print(accounts, slow_memory.more, stopped_memory.more)
            assert publisher.stats.sent == count
            for account in accounts:
                assert account["last"] == {"s": count - 1}
                assert account["lost"] == account["disorder"] == account["dropped"] == 0
                assert account["got"] + account["conflated"] == count
            assert accounts[0]["got"] > 1
            assert accounts[1]["got"] <= 3
            assert max(slow_memory.more, stopped_memory.more) < 8 * MIB

    with (
        program("reader", realm, style="plain", pause_s=0.01, expected=count) as slow,
        program("reader", realm, style="plain", expected=count) as stopped,
    ):
        run(main(), within=180)


def test_slow_and_stalled_readers_get_the_newest_message_and_count_what_it_has_replaced(realm: str) -> None:
    check_conflation(realm, count=5_000, size=10_000)


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_the_same_for_many_messages(realm: str) -> None:
    check_conflation(realm, count=200_000, size=1_000)


@pytest.mark.slow
def test_the_same_for_large_messages(realm: str) -> None:
    check_conflation(realm, count=20_000, size=100_000)


@pytest.mark.parametrize("a_turn", [1, 7, 500])
def test_after_quiet_the_very_last_message_has_arrived_at_readers_of_every_pace(a_turn: int) -> None:
    async def main() -> None:
        async with Node("a") as a, Node("b") as b:
            quick, slow = Collector(), Collector()

            async def slowly(message: str) -> None:
                await asyncio.sleep(0.002)
                slow(message)

            publisher = a.add_publisher("t", conflate=True)
            b.add_subscriber("t", quick)
            b.add_subscriber("t", slowly, queue=1)
            await publisher.ready(2)
            for number in range(1, 1001):
                publisher.send(str(number))
                if number % a_turn == 0:
                    await asyncio.sleep(0)
            for collector in (quick, slow):
                await until(partial(ends_with, collector, "1000"))
                assert sorted(collector.items, key=int) == collector.items

    run(main())


def test_a_reader_that_is_behind_gets_the_last_message_of_a_publisher_that_closes() -> None:
    async def main() -> None:
        async with Node("a") as a, Node("b") as b:
            received = Collector()
            publisher = a.add_publisher("t", conflate=True)
            subscriber = b.add_subscriber("t", received)
            await publisher.ready()
            for number in range(100):
                publisher.send(str(number).encode() + bytes(10_000))
                await asyncio.sleep(0) if number % 10 == 9 else None
            publisher.close()
            await until(lambda: received.items and received.items[-1].startswith(b"99\0"))
            stats = subscriber.stats
            assert (stats.lost, stats.received + stats.conflated) == (0, 100)

    run(main())
