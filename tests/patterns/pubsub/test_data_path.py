"""Batches, late joiners, lists, views: what publish/subscribe promises beyond single messages."""

import asyncio
import threading
from random import Random
from typing import Any

import pytest
import zmq

from colugo import ConfigurationError, MessageInfo, Node
from colugo.patterns.pubsub.subscriber_credit import SubscriberCredits
from colugo.protocol.frames import BATCH_BYTES, LARGE_BYTES
from colugo.protocol.pubsub.credit import Segments
from colugo.protocol.pubsub.history import History
from tests.support.essentials import Collector, run, seconds, until


def test_messages_of_all_sizes_and_kinds_in_one_turn_arrive_in_order() -> None:
    random = Random(1)
    sizes = [0, 1, 64, LARGE_BYTES, LARGE_BYTES + 1, BATCH_BYTES, BATCH_BYTES + 1, 300_000]
    messages: list[Any] = [random.randbytes(random.choice(sizes)) for _ in range(300)]
    messages += [random.choice(["grüß", "text", b"bytes", b""]) for _ in range(2000)]
    random.shuffle(messages)

    async def main() -> None:
        async with Node("a") as a, Node("b") as b:
            received = Collector()
            publisher = a.add_publisher("t")
            subscriber = b.add_subscriber("t", received)
            await publisher.ready()
            for message in messages:
                publisher.send(message)
            assert await received.reach(len(messages)) == messages
            assert publisher.stats.sent == len(messages)
            assert publisher.stats.sent_bytes == sum(
                len(message.encode() if isinstance(message, str) else message) for message in messages
            )
            assert subscriber.stats.lost == 0

    run(main())


def test_many_small_messages_of_one_turn_share_a_frame_and_the_first_goes_alone() -> None:
    async def main() -> None:
        async with Node("a") as a, Node("b") as b:
            frames: list[int] = []
            received = Collector()
            publisher = a.add_publisher("t")
            subscriber = b.add_subscriber("t", lambda messages: frames.append(len(messages)), batch=True)
            b.add_subscriber("t", received)
            await publisher.ready(2)
            await subscriber.ready()
            for number in range(1000):
                publisher.send(b"%03d" % number)
            await received.reach(1000)
            await until(lambda: sum(frames) == 1000)
            assert frames == [1, 999]

    run(main())


def test_messages_from_many_threads_all_arrive_those_of_each_in_order() -> None:
    async def main() -> None:
        async with Node("a") as a, Node("b") as b:
            received = Collector()
            publisher = a.add_publisher("t")
            b.add_subscriber("t", received)
            await publisher.ready()

            def send(thread: int) -> None:
                for number in range(2000):
                    publisher.send(b"%d %d" % (thread, number))

            threads = [threading.Thread(target=send, args=(number,)) for number in range(4)]
            for thread in threads:
                thread.start()
            for number in range(2000):
                publisher.send(b"own %d" % number)
                if number % 100 == 0:
                    await asyncio.sleep(0)
            items = await received.reach(10_000)
            for name in (b"own", *(b"%d" % number for number in range(4))):
                own = [int(item.split()[1]) for item in items if item.split()[0] == name]
                assert own == list(range(2000))
            for thread in threads:
                thread.join()

    run(main())


@pytest.mark.slow
@pytest.mark.measures
def test_threads_that_send_without_end_leave_the_loop_its_turns() -> None:
    async def main() -> None:
        async with Node("a") as a, Node("b") as b:
            publisher = a.add_publisher("t")
            b.add_subscriber("t", lambda message: None)
            await publisher.ready()
            stop = threading.Event()

            def send() -> None:
                while not stop.is_set():
                    publisher.send(b"x")

            threads = [threading.Thread(target=send) for _ in range(2)]
            for thread in threads:
                thread.start()
            try:
                for _ in range(20):
                    await asyncio.sleep(0.001)
            finally:
                stop.set()
                for thread in threads:
                    thread.join()

    run(main())


# --- late joiners


@pytest.mark.parametrize("codec", [None, "json"])
def test_a_late_joiner_gets_the_last_ones_and_then_what_comes(codec: str | None) -> None:
    async def main() -> None:
        async with Node("a") as a, Node("b") as b:
            publisher = a.add_publisher("t", retain=3, codec=codec)
            for number in range(10):
                publisher.send(str(number))
            await asyncio.sleep(0)
            received: list[tuple[str, int | None]] = []
            subscriber = b.add_subscriber(
                "t", lambda message, info: received.append((message, info.sequence)), codec=codec
            )
            await subscriber.ready()
            publisher.send("10")
            await until(lambda: len(received) == 4)
            assert received == [(str(number), number) for number in range(7, 11)]
            assert subscriber.stats.lost == subscriber.stats.duplicates == 0

    run(main())


def test_every_late_joiner_under_traffic_gets_exactly_the_last_ones_in_order_and_none_twice() -> None:
    run(late_joiners(60), within=60)


@pytest.mark.slow
@pytest.mark.measures
@pytest.mark.timeout(600)
def test_a_thousand_late_joiners_of_a_thousand_get_exactly_the_last_ones() -> None:
    run(late_joiners(1000), within=500)


async def late_joiners(count: int, retain: int = 5) -> None:
    """Let readers join one after another while messages are sent in every turn of the loop."""
    async with Node("a") as a, Node("b") as b:
        publisher = a.add_publisher("t", retain=retain)
        stop = False

        async def send() -> None:
            number = 0
            while not stop:
                for _ in range(number % 4 + 1):
                    publisher.send(b"%d" % number)
                    number += 1
                await asyncio.sleep(0)

        joins: list[tuple[int, int]] = []
        history = publisher._writer._history  # type: ignore[union-attr]
        find_first = history.first

        def note(following: int) -> int:
            joins.append((find_first(following), following))
            return joins[-1][0]

        history.first = note  # type: ignore[method-assign]
        sender = asyncio.create_task(send())
        await until(lambda: publisher.stats.sent > retain)
        for number in range(1, count + 1):
            numbers = await join_once(b, 20 + retain)
            assert len(joins) == number
            first, following = joins[-1]
            assert first == following - retain
            assert numbers == list(range(first, first + len(numbers)))
        stop = True
        await sender


async def join_once(node: Node, count: int) -> list[int]:
    """The numbers that a new subscriber gets, at least so many."""
    numbers: list[int] = []
    subscriber = node.add_subscriber("t", lambda message: numbers.append(int(message)))
    await until(lambda: len(numbers) >= count)
    assert subscriber.stats.duplicates == subscriber.stats.lost == 0
    subscriber.close()
    return numbers


def test_a_late_joiner_of_a_quiet_publisher_gets_large_and_small_text_and_bytes_as_they_were() -> None:
    messages = ["a", b"b", "ü" * 40_000, b"c" * 100_000, b"", "d"]

    async def main() -> None:
        async with Node("a") as a, Node("b") as b:
            publisher = a.add_publisher("t", retain=10)
            for message in messages:
                publisher.send(message)
            received = Collector()
            b.add_subscriber("t", received)
            assert await received.reach(len(messages)) == messages

    run(main())


# --- lists, views, threads


def test_a_batch_callback_gets_lists_and_what_is_known_of_the_first_message() -> None:
    async def main() -> None:
        async with Node("a") as a, Node("b") as b:
            batches: list[tuple[list[Any], MessageInfo]] = []
            publisher = a.add_publisher("t", codec="json")
            b.add_subscriber("t", lambda some, info: batches.append((some, info)), codec="json", batch=True)
            await publisher.ready()
            for number in range(50):
                publisher.send({"n": number})
            await until(lambda: sum(len(some) for some, _ in batches) == 50)
            assert [message["n"] for some, _ in batches for message in some] == list(range(50))
            for some, info in batches:
                assert info.sequence == some[0]["n"]

    run(main())


@pytest.mark.parametrize("executor", [False, True])
def test_a_slow_batch_callback_gets_all_that_has_come_meanwhile(executor: bool) -> None:  # noqa: FBT001
    async def main() -> None:
        async with Node("a") as a, Node("b") as b:
            batches: list[list[bytes]] = []
            gate = threading.Event()
            opened = asyncio.Event()

            def take(messages: list[bytes]) -> None:
                batches.append(messages)
                gate.wait(seconds(5))

            async def take_later(messages: list[bytes]) -> None:
                batches.append(messages)
                await opened.wait()

            publisher = a.add_publisher("t")
            callback: Any = take if executor else take_later
            subscriber = b.add_subscriber("t", callback, batch=True, executor=executor)
            await publisher.ready()
            publisher.send(b"0")
            await until(lambda: batches)
            for number in range(1, 500):
                publisher.send(b"%d" % number)
            await until(lambda: subscriber.stats.received == 500)
            gate.set()
            opened.set()
            await until(lambda: len(batches) == 2)
            assert batches == [[b"0"], [b"%d" % number for number in range(1, 500)]]

    run(main())


def test_without_a_copy_large_messages_and_small_ones_are_memoryviews_and_text_is_text() -> None:
    async def main() -> None:
        async with Node("a") as a, Node("b") as b:
            received = Collector()
            publisher = a.add_publisher("t")
            b.add_subscriber("t", received, copy=False)
            await publisher.ready()
            for message in (b"small", b"x" * 100_000, "text", bytearray(b"y" * 40_000)):
                publisher.send(message)
            small, large, text, middle = await received.reach(4)
            assert isinstance(small, memoryview)
            assert isinstance(large, memoryview)
            assert bytes(small) == b"small"
            assert bytes(large) == b"x" * 100_000
            assert text == "text"
            assert bytes(middle) == b"y" * 40_000

    run(main())


# --- options that cannot work


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"retain": -1}, "retain must be an integer ≥ 0, not -1"),
        ({"retain": 1.5}, "retain must be an integer"),
        ({"hwm": 0}, "hwm must be an integer ≥ 1, not 0"),
        ({"max_bytes": 0}, "max_bytes must be an integer ≥ 1, not 0"),
        ({"stall_ms": 0}, "stall_ms must be an integer ≥ 1"),
        ({"flow": "block"}, "flow must be one of drop, wait, not 'block'"),
        ({"flow": "wait", "conflate": True}, "conflate=True cannot be combined with flow"),
        ({"framing": "raw", "retain": 1}, 'need framing="colugo"'),
        ({"framing": "raw", "flow": "wait"}, 'need framing="colugo"'),
        ({"framing": "raw", "conflate": True}, 'need framing="colugo"'),
    ],
    ids=str,
)
def test_a_publisher_refuses_options_that_cannot_work(options: dict[str, Any], reason: str) -> None:
    async def main() -> None:
        async with Node("a") as a:
            with pytest.raises(ConfigurationError, match=reason):
                a.add_publisher("t", **options)
            a.add_publisher("t")

    run(main())


def test_a_subscriber_refuses_options_that_cannot_work() -> None:
    async def later(message: object) -> None:
        del message

    async def main() -> None:
        async with Node("a") as a:
            for options, reason in (
                ({"batch": True}, "need a callback"),
                ({"executor": True}, "need a callback"),
                ({"callback": later, "executor": True}, "is for plain functions"),
            ):
                with pytest.raises(ConfigurationError, match=reason):
                    a.add_subscriber("t", **options)

    run(main())


def test_send_wait_needs_a_publisher_that_waits() -> None:
    async def main() -> None:
        async with Node("a") as a:
            publisher = a.add_publisher("t")
            with pytest.raises(ConfigurationError, match='flow="wait"'):
                await publisher.send_wait("x")
            assert publisher.stats.sent == 0

    run(main())


# --- what happens around the edges


@pytest.mark.slow
@pytest.mark.measures
def test_a_node_that_stops_waits_for_slow_readers_of_a_publisher_that_waits() -> None:
    async def main() -> None:
        async with Node("b") as b:
            handled = 0

            async def handle(message: bytes) -> None:
                nonlocal handled
                await asyncio.sleep(0.0005)
                handled += 1

            subscriber = b.add_subscriber("t", handle, queue=10)
            async with Node("a") as a:
                publisher = a.add_publisher("t", flow="wait", hwm=2000)
                await publisher.ready()
                for number in range(3000):
                    await publisher.send_wait(b"%d" % number)
                assert handled < 3000
            await until(lambda: handled == 3000)
            assert subscriber.stats.lost == subscriber.stats.dropped == 0

    run(main())


def test_a_node_that_stops_does_not_wait_for_readers_that_do_not_get_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        async with Node("b") as b:
            held = asyncio.Event()

            async def handle(message: bytes) -> None:
                del message
                await held.wait()

            b.add_subscriber("t", handle, queue=1)
            async with Node("a") as a:
                publisher = a.add_publisher("t", flow="wait", hwm=10, stall_ms=100)
                await publisher.ready()
                for number in range(5):
                    await publisher.send_wait(b"%d" % number)
            assert "closes before 1 of its subscribers have acknowledged everything" in caplog.text
            held.set()

    run(main())


def test_what_is_retained_of_a_publisher_that_waits_waits_for_a_queue_too() -> None:
    async def main() -> None:
        async with Node("a") as a, Node("b") as b:
            publisher = a.add_publisher("t", flow="wait", retain=300)
            for number in range(300):
                await publisher.send_wait(b"%d" % number)
            subscriber = b.add_subscriber("t", queue=10)
            assert [int(await anext(subscriber)) for _ in range(300)] == list(range(300))
            assert subscriber.stats.dropped == 0

    run(main())


def test_a_large_message_is_not_overtaken_by_small_ones_for_ever() -> None:
    async def main() -> None:
        async with Node("a") as a, Node("b") as b:
            publisher = a.add_publisher("t", flow="wait", max_bytes=160_000)
            b.add_subscriber("t", lambda message: None)
            await publisher.ready()
            sent = asyncio.Event()

            async def send_small() -> None:
                while not sent.is_set():
                    await publisher.send_wait(bytes(1000))

            async def send_large() -> None:
                await publisher.send_wait(bytes(150_000))
                sent.set()

            await asyncio.gather(send_small(), send_small(), send_large())

    run(main())


class Upstream:
    """Stands for an XPUB socket on which messages have arrived, and notes what is subscribed."""

    def __init__(self, *messages: bytes) -> None:
        self.messages = list(messages)
        self.subscribed: list[bytes] = []

    def get(self, option: int) -> int:
        assert option == zmq.EVENTS
        return zmq.POLLIN if self.messages else 0

    def recv(self, flags: int) -> bytes:
        del flags
        return self.messages.pop(0)

    def set(self, option: int, value: bytes) -> None:
        assert option == zmq.SUBSCRIBE
        self.subscribed.append(value)

    def send(self, frame: bytes, flags: int) -> None:
        """A welcome."""


class Writer:
    sequence = 0
    gathering = False

    def on_progress(self) -> None:
        pass


def test_nobody_is_let_in_behind_a_message_that_is_no_subscription_until_all_have_been_read() -> None:
    """With `ZMQ_XPUB_MANUAL` such a message shifts whom ZeroMQ takes for the sender of those behind it."""
    first, second = b"\x01@AAAAAAAA", b"\x01@BBBBBBBB"
    socket: Any = Upstream(b"\x02hello", first, b"\x01something")
    subscribers = SubscriberCredits(
        socket, b"publishr", Segments(10, 1000), History(b"publishr", 0), listener=Writer()
    )
    subscribers.read()
    assert not socket.subscribed
    assert len(subscribers) == 0
    socket.messages = [second]
    subscribers.read()
    assert second[1:] in socket.subscribed
    assert len(subscribers) == 1
