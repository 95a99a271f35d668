"""Streams where things meet: a loss and a new consumer, small limits, an end while there is work."""

import asyncio
import logging
import select
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import zmq

from colugo import ClosedError, Delivery, Node, StoreError, Stream, StreamFullError
from colugo.protocol.streams.attempts import DeliveryRules, GroupMember, QueuedMessage
from colugo.protocol.streams.group_queue import GroupQueue
from colugo.protocol.streams.stream_message import StreamMessage
from colugo.store import DeadQuery, ReadDead, Transaction, Trim
from colugo.store.memory_store import MemoryStore
from colugo.store.sqlite.sqlite_store import SqliteStore
from tests.support.essentials import Collector, run, seconds, until
from tests.support.streaming import drained


def _readable(socket: "zmq.Socket[bytes]") -> bool:
    """Return True if the socket's descriptor signals an event, which it does once."""
    return bool(select.select([socket.fileno()], [], [], seconds(5))[0])


def _counted(stream: Stream, malformed: int) -> bool:
    return stream.stats.malformed == malformed


def test_what_arrives_while_a_message_to_a_lost_consumer_fails_is_read() -> None:
    async def main() -> None:
        async with Node("n") as node:
            stream = node.add_stream("t")
            members = stream._sessions
            context = zmq.Context()
            stranger = context.socket(zmq.DEALER)
            try:
                stranger.connect(stream.endpoints[0])
                stranger.send(b"garbage")
                await until(lambda: stream.stats.malformed == 1)
                for n in range(20):
                    stranger.send(b"garbage")
                    assert _readable(members._socket)
                    assert not members._send(b"gone", b"x")  # which consumes what the descriptor tells
                    await until(partial(_counted, stream, 2 + n), within=5)
            finally:
                context.destroy(linger=0)

    run(main())


def test_messages_that_are_large_only_together_come_at_once_though_a_node_takes_no_large_ones() -> None:
    async def main() -> None:
        async with Node("p") as p, Node("c", max_message_bytes=20_000) as c:
            stream = p.add_stream("t")
            redelivered: list[bool] = []

            def take(message: str, delivery: Delivery) -> None:
                assert len(message) == 1_000
                redelivered.append(delivery.redelivered)

            c.add_consumer("t", take, group="g", prefetch=1_000)
            await stream.ready()
            for n in range(500):
                stream.send("x" * 1_000, headers={"h": "y" * 9_000 * (n % 2)}, key=f"a.{n}")
            await drained(stream)
            assert redelivered == [False] * 500

    run(main())


def test_many_failures_at_once_are_told_though_the_stream_takes_no_large_messages() -> None:
    async def main() -> None:
        async with Node("p", max_message_bytes=2_000) as p, Node("c") as c:
            stream = p.add_stream("t", max_deliver=1)
            begun = 0
            all_begun = asyncio.Event()

            async def fail(message: str) -> None:
                nonlocal begun
                begun += 1
                if begun == 100:
                    all_begun.set()
                await all_begun.wait()
                raise ValueError(message + "!" * 5_000)

            c.add_consumer("t", fail, group="g", concurrency=100)
            await stream.ready()
            for n in range(100):
                stream.send(str(n))
            await drained(stream)
            assert (stream.stats.dead, begun, stream.stats.malformed) == (100, 100, 0)

    logging.getLogger("c").setLevel(logging.CRITICAL)
    run(main())


def test_messages_that_wait_for_others_of_their_key_are_not_taken_for_lost() -> None:
    async def main() -> None:
        async with Node("p") as p, Node("c") as c:
            stream = p.add_stream("t", ack_timeout_ms=1000)
            handled: list[tuple[str, bool]] = []

            async def handle(message: str, delivery: Delivery) -> None:
                await asyncio.sleep(0.05)
                handled.append((message, delivery.redelivered))

            c.add_consumer("t", handle, group="g", concurrency=4)
            await stream.ready()
            for n in range(30):
                stream.send(str(n), key="a")
            await drained(stream)
            assert handled == [(str(n), False) for n in range(30)]
            assert stream.stats.dead == stream.groups["g"].redelivered == 0

    run(main())


@pytest.mark.slow
def test_a_message_has_its_whole_time_from_when_it_is_begun_with() -> None:
    async def main() -> None:
        async with Node("p") as p, Node("c") as c:
            stream = p.add_stream("t", ack_timeout_ms=1_000)
            handled: list[bool] = []

            async def handle(message: str, delivery: Delivery) -> None:
                del message
                await asyncio.sleep(0.85)
                handled.append(delivery.redelivered)

            c.add_consumer("t", handle, group="g")
            await stream.ready()
            for n in range(4):
                stream.send(str(n))
            await drained(stream)
            assert handled == [False] * 4
            assert stream.groups["g"].delivered == 4

    run(main())


def test_a_consumer_that_closes_gives_back_what_waits_for_others_of_its_key() -> None:
    async def main() -> None:
        async with Node("p") as p, Node("c") as c, Node("d") as d:
            stream = p.add_stream("t")
            begun, go_on = asyncio.Event(), asyncio.Event()

            async def hold(message: str) -> None:
                del message
                begun.set()
                await go_on.wait()

            c.add_consumer("t", hold, group="g", concurrency=4)
            await stream.ready()
            for n in range(30):
                stream.send(str(n), key="a")
            await begun.wait()
            closing = asyncio.create_task(c.aclose())
            await until(lambda: stream.groups["g"].in_flight < 30)
            go_on.set()
            await closing
            tries: list[tuple[str, int, bool]] = []

            def take(message: str, delivery: Delivery) -> None:
                tries.append((message, delivery.attempt, delivery.redelivered))

            d.add_consumer("t", take, group="g")
            await drained(stream)
            assert tries == [(str(n), 1, False) for n in range(1, 30)]

    run(main())


def test_a_consumer_that_closes_while_it_has_much_to_do_is_handed_nothing_more() -> None:
    async def main() -> None:
        async with Node("p") as p, Node("c") as c, Node("d") as d:
            stream = p.add_stream("t")
            begun, go_on = asyncio.Event(), asyncio.Event()

            async def hold(message: str) -> None:
                del message
                begun.set()
                await go_on.wait()

            c.add_consumer("t", hold, group="g", prefetch=10)
            await stream.ready()
            for n in range(30):
                stream.send(str(n))
            await begun.wait()
            closing = asyncio.create_task(c.aclose())
            await until(lambda: stream.groups["g"].in_flight == 1)
            tries: list[tuple[str, int, bool]] = []

            def take(message: str, delivery: Delivery) -> None:
                tries.append((message, delivery.attempt, delivery.redelivered))

            d.add_consumer("t", take, group="g")
            await until(lambda: len(tries) == 29)
            go_on.set()
            await closing
            await drained(stream)
            assert tries == [(str(n), 1, False) for n in range(1, 30)]
            assert stream.groups["g"].delivered == 10 + 29

    run(main())


@pytest.mark.parametrize("leave", ["close", "rebind"])
def test_what_is_on_its_way_to_a_consumer_that_leaves_has_not_been_tried(leave: str) -> None:
    async def main() -> None:
        async with Node("p") as p, Node("c") as c:
            stream = p.add_stream("t", max_deliver=1)
            first = c.add_consumer("t", lambda _: None, group="g", prefetch=5)
            await stream.ready()
            deliver = stream._sessions.deliver

            def deliver_and_leave(member: GroupMember, entries: list[QueuedMessage]) -> None:
                stream._sessions.deliver = deliver  # type: ignore[method-assign]
                deliver(member, entries)
                if leave == "close":
                    first.close()
                else:
                    first.rebind(["#"])

            stream._sessions.deliver = deliver_and_leave  # type: ignore[method-assign]
            for n in range(20):
                stream.send(str(n))
            await until(lambda: stream._sessions.deliver is deliver)
            tries: list[tuple[int, bool]] = []

            def take(message: str, delivery: Delivery) -> None:
                del message
                tries.append((delivery.attempt, delivery.redelivered))

            c.add_consumer("t", take, group="g")
            await drained(stream)
            assert set(tries) <= {(1, False)}
            assert stream.groups["g"].delivered == 25  # 5 of them twice
            assert len(tries) + first.stats.received == 20
            assert stream.groups["g"].redelivered == stream.stats.dead == 0

    run(main())


def test_a_group_that_comes_when_all_has_been_handled_makes_nothing_unrouted(tmp_path: Path) -> None:
    async def main() -> None:
        async with Node("p") as p, Node("c") as c:
            stream = p.add_stream("t", store=tmp_path / "t.db")
            c.add_consumer("t", lambda _: None, group="g", bindings=["a.*"])
            await stream.ready()
            for _ in range(10):
                stream.send("x", key="a.b")
                stream.send("x", key="nobody")
            await drained(stream)
            c.add_consumer("t", lambda _: None, group="h", bindings=["b"])
            await stream.ready(2)
            await until(lambda: stream.groups["h"].done == 20)
            assert stream.stats.unrouted == 10
        async with Node("p") as p, Node("c") as c:
            stream = p.add_stream("t", store=tmp_path / "t.db")
            c.add_consumer("t", lambda _: None, group="i", bindings=["c"])
            await until(lambda: "i" in stream.groups and stream.groups["i"].done == 20)
            assert stream.stats.unrouted == 0
            stream.forget("g")
            stream.forget("h")
            for _ in range(10):
                stream.send("x", key="c")
                stream.send("x", key="nobody")
            await drained(stream)
            assert stream.stats.unrouted == 10

    run(main())


def _later(loop: asyncio.AbstractEventLoop, done: Callable[[Any], None], outcome: Any) -> None:
    loop.call_soon(done, outcome)


class TroubledStore(MemoryStore):
    """A store that runs each transaction a turn later, except those that the test lets it refuse."""

    def __init__(self) -> None:
        super().__init__()
        self.refuses: Callable[[Transaction], object] = lambda _: False

    def commit(self, transaction: Transaction, done: Callable[[Any], None]) -> None:
        loop = asyncio.get_running_loop()
        if self.refuses(transaction):
            loop.call_soon(done, StoreError("the disk is full"))
        else:
            super().commit(transaction, lambda outcome: _later(loop, done, outcome))


@pytest.fixture
def troubled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give streams without a file a store that can refuse transactions."""
    monkeypatch.setattr("colugo.patterns.streams.stream.MemoryStore", TroubledStore)


def _refuse(stream: Stream, refuses: Callable[[Transaction], object]) -> None:
    store = stream._store
    assert isinstance(store, TroubledStore)
    store.refuses = refuses


@pytest.mark.usefixtures("troubled")
def test_a_stream_is_drained_when_the_only_message_could_not_be_stored() -> None:
    async def main() -> None:
        async with Node("p") as p:
            stream = p.add_stream("t")
            _refuse(stream, lambda transaction: transaction.inserts)
            sending = asyncio.create_task(stream.send_wait("x"))
            await asyncio.sleep(0)
            draining = asyncio.create_task(drained(stream))
            with pytest.raises(StoreError):
                await sending
            await draining

    run(main())


@pytest.mark.usefixtures("troubled")
def test_messages_are_stored_as_soon_as_they_can_be_though_acknowledgements_never_pause() -> None:
    async def main() -> None:
        async with Node("p") as p:
            stream = p.add_stream("t", groups=["g"])
            await stream.send_wait("first")
            _refuse(stream, lambda transaction: transaction.inserts)
            stream.send("kept")
            await until(lambda: stream._scheduler.intake.error)
            _refuse(stream, lambda _: False)
            group = stream._scheduler.groups.known["g"]

            def go_on() -> None:
                stream._scheduler.writer.mark_dirty(group)  # as acknowledgements do

            written = stream._scheduler.on_committed
            stream._scheduler.on_committed = _before(written, go_on)  # type: ignore[method-assign]
            go_on()
            stream._scheduler.wake()
            try:
                await until(lambda: stream.stats.messages == 2, within=5)
                assert stream._scheduler.intake.error is None
            finally:
                stream._scheduler.on_committed = written  # type: ignore[method-assign]

    run(main())


def _before(method: Callable[..., None], action: Callable[[], None]) -> Callable[..., None]:
    def both(*args: Any) -> None:
        action()
        method(*args)

    return both


@pytest.mark.slow
@pytest.mark.usefixtures("troubled")
def test_a_dead_letter_stays_one_until_the_message_that_it_becomes_is_stored() -> None:
    async def main() -> None:
        async with Node("p") as p, Node("c") as c:
            stream = p.add_stream("t", max_deliver=1)
            consumer = c.add_consumer("t", lambda _: 1 / 0, group="g")
            stream.send("x")
            await drained(stream)
            assert len(await stream.dead_letters.find()) == 1
            consumer.close()
            await until(lambda: not stream.consumers)
            _refuse(stream, lambda transaction: transaction.inserts)
            read = stream._store.dead_letters

            def send_and_read(query: DeadQuery, done: ReadDead) -> None:
                if not stream._scheduler.intake.unwritten:
                    stream.send("which fails while the letter is being resurrected")
                    stream._scheduler.writer.write()
                read(query, done)

            stream._store.dead_letters = send_and_read  # type: ignore[method-assign]
            with pytest.raises(StoreError, match="disk is full"):
                await stream.dead_letters.resurrect()
            await asyncio.sleep(0)
            assert [letter.message for letter in await stream.dead_letters.find()] == ["x"]
            _refuse(stream, lambda _: False)
            stream._store.dead_letters = read  # type: ignore[method-assign]
            await until(lambda: stream._scheduler.intake.error is None)
            both = await asyncio.gather(stream.dead_letters.resurrect(), stream.dead_letters.resurrect())
            assert sorted(both) == [0, 1]
            assert [kept.message for kept in await stream.messages()].count("x") == 1
            assert stream.stats.dead == 0

    logging.getLogger("c").setLevel(logging.CRITICAL)
    run(main())


def test_what_is_asked_of_a_closed_stream_is_an_error() -> None:
    async def main() -> None:
        async with Node("p") as p:
            stream = p.add_stream("t")
            stream.close()
            stream._scheduler.writer._dirty["g"] = None  # type: ignore[assignment]  # what could not be written
            with pytest.raises(ClosedError):
                await stream.dead_letters.find()

    run(main(), within=5)


def test_large_headers_count_for_what_is_in_memory_as_large_payloads_do(tmp_path: Path) -> None:
    async def main() -> None:
        async with Node("p") as p, Node("c") as c:
            stream = p.add_stream("t", store=tmp_path / "t.db")
            go_on = asyncio.Event()

            async def hold(message: str) -> None:
                del message
                await go_on.wait()

            c.add_consumer("t", hold, group="g", prefetch=1)
            await stream.ready()
            for n in range(800):
                stream.send(str(n), headers={"h": "x" * 60_000})
                if n % 100 == 99:
                    await stream.send_wait("")
            queue = stream._scheduler.groups.known["g"].queue
            await until(lambda: queue.in_flight)
            assert sum(len(entry.message.headers) for entry in queue.messages.values()) < 90e6
            newest = stream._scheduler._read_ahead._tail.following(
                stream._scheduler._read_ahead._tail.after, 10_000
            )
            assert 10e6 < sum(len(message.headers) for message in newest) < 33e6
            go_on.set()
            await drained(stream, within=30)

    run(main(), within=60)


class Counted(dict[Any, Any]):
    """Counts how often something is looked up."""

    lookups = 0

    def get(self, key: Any, default: Any = None) -> Any:
        self.lookups += 1
        return super().get(key, default)

    def __iter__(self) -> Iterator[Any]:
        for key in super().__iter__():
            self.lookups += 1
            yield key


def _messages(first: int, count: int) -> list[StreamMessage]:
    return [StreamMessage(seq, "", b"", b"x", 0, 0) for seq in range(first, first + count)]


@pytest.mark.parametrize("width", [100, 2_000, 10_000])
def test_many_wide_ranges_of_what_was_never_given_cost_little(width: int) -> None:
    queue = GroupQueue(DeliveryRules())
    queue.offer(_messages(1, 2_000))
    queue.messages = Counted(queue.messages)
    ranges = [(10_000 * n, 10_000 * n + width - 1) for n in range(1, 1_001)]
    assert queue.acknowledge(ranges) == ([], 1_000 * width)
    assert queue.messages.lookups <= 2_000


def test_a_store_in_memory_that_drops_the_oldest_does_not_pass_over_all_that_have_gone() -> None:
    store = MemoryStore()
    store.open()
    trim = Trim(max_messages=10_000)
    outcomes: list[Any] = []
    for first in (1, 10_001):
        store.commit(Transaction(inserts=_messages(first, 10_000), trim=trim), outcomes.append)
    store._messages = messages = Counted(store._messages)
    for n in range(100):
        store.commit(Transaction(inserts=_messages(20_001 + n, 1), trim=trim), outcomes.append)
    assert messages.lookups < 100 * 1_100
    assert [outcome.trimmed for outcome in outcomes[2:]] == [[10_001 + n] for n in range(100)]


@pytest.mark.parametrize("early", [False, True])
def test_messages_of_a_store_that_has_been_put_back_are_handled_though_their_numbers_were_used_before(
    tmp_path: Path, *, early: bool
) -> None:
    async def main() -> None:
        path, backup = tmp_path / "t.db", tmp_path / "backup.db"
        got = Collector()
        async with Node("c") as c:
            consumer = c.add_consumer("t", got, group="g")
            for text in ("before", "forgotten", "after"):
                p = Node("p")
                stream = p.add_stream("t", store=path)
                sent = [stream.send(f"{text} {n}") for n in range(5 if early else 0)]
                async with p:
                    if not early:
                        await stream.ready()
                        sent = [await stream.send_wait(f"{text} {n}") for n in range(5)]
                    await drained(stream)
                    assert sent[-1].endswith("-5") == (text == "before")
                await until(lambda: consumer.streams == 0)
                if text == "before":
                    shutil.copy(path, backup)
                elif text == "forgotten":
                    shutil.copy(backup, path)
            assert got.items == [f"{text} {n}" for text in ("before", "forgotten", "after") for n in range(5)]
            assert consumer.stats.duplicates == 0

    run(main())


def test_a_stream_whose_node_has_stopped_is_not_counted_among_those_of_a_consumer() -> None:
    async def main() -> None:
        async with Node("c") as c:
            consumer = c.add_consumer("t", lambda _: None, group="g")
            for _ in range(3):
                async with Node("p") as p:
                    p.add_stream("t")
                    await consumer.ready()
                    assert consumer.streams == 1
                await until(lambda: consumer.streams == 0)

    run(main())


@pytest.mark.parametrize("started", [False, True])
def test_what_was_sent_before_a_stream_is_closed_is_stored(tmp_path: Path, *, started: bool) -> None:
    async def main() -> None:
        p = Node("p")
        if started:
            await p.__aenter__()
        stream = p.add_stream("t", store=tmp_path / "t.db")
        if started:
            await stream.send_wait("0")
            stream.send("1")
            await asyncio.sleep(0)  # this one is being written, and the others wait
        for n in range(10):
            stream.send(f"{n}")
        stream.close()
        with pytest.raises(ClosedError):
            stream.send("too late")
        again = p.add_stream("t", store=tmp_path / "t.db")
        assert again.stats.messages == (12 if started else 10)
        again.close()
        if not started:
            await p.__aenter__()
        await p.__aexit__(None, None, None)

    run(main())


def test_what_could_not_be_stored_when_a_stream_closes_is_named_in_the_log(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def main() -> None:
        async with Node("p") as p:
            stream = p.add_stream("t", store=tmp_path / "t.db")
            monkeypatch.setattr(stream._store, "commit", lambda _, done: done(StoreError("no room")))
            stream.send("lost")
            await until(lambda: stream._scheduler.intake.error is not None)
            stream.close()
        assert "is closed; 1 message not stored: lost" in caplog.text

    run(main())


def test_nothing_is_kept_of_those_who_have_given_up_waiting() -> None:
    async def main() -> None:
        async with Node("p") as p:
            stream = p.add_stream("t", max_messages=1, full="wait")
            await stream.send_wait("the only one")
            for _ in range(10):
                for wait in (stream.drained, lambda: stream.send_wait("one more")):
                    with pytest.raises(TimeoutError):
                        async with asyncio.timeout(0.001):
                            await wait()
            writer = stream._scheduler.writer
            assert (writer._drain_waiters, writer._commit_waiters) == ([], [])

    logging.getLogger("p").setLevel(logging.CRITICAL)
    run(main())


@pytest.mark.parametrize("stop", [False, True])
def test_what_a_consumer_has_begun_has_a_second_if_its_node_stops_and_is_tried_again_if_it_is_closed(
    *, stop: bool
) -> None:
    async def main() -> None:
        async with Node("p") as p, Node("other") as other:
            stream = p.add_stream("t", groups=["g"])
            got = Collector()
            begun, go_on = asyncio.Event(), asyncio.Event()

            async def work(message: str) -> None:
                begun.set()
                await go_on.wait()
                got(f"{message} ended")

            async with Node("c") as c:
                consumer = c.add_consumer("t", work, group="g")
                stream.send("x")
                async with asyncio.timeout(seconds(5)):
                    await begun.wait()
                if stop:
                    asyncio.get_running_loop().call_later(0.1, go_on.set)
                else:
                    consumer.close()
                    go_on.set()
            other.add_consumer("t", lambda message, delivery: got((message, delivery.redelivered)), group="g")
            await drained(stream)
            assert got.items == (["x ended"] if stop else [("x", True)])

    run(main())


@pytest.mark.parametrize("fails", ["full", "broken"])
def test_a_thread_whose_message_is_refused_pauses_and_the_loop_does_not(
    fails: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that tried again at once would keep the loop from writing, which is what it waits for."""
    pauses: list[int] = []

    def pause(seconds: float) -> None:
        assert seconds > 0
        pauses.append(threading.get_ident())

    async def main() -> None:
        async with Node("p") as p:
            stream = p.add_stream("t", max_messages=1)
            await stream.send_wait("x")
            if fails == "broken":
                stream._scheduler.intake.error = StoreError("no disk")
            monkeypatch.setattr("colugo.patterns.streams.stream.time.sleep", pause)
            expected = StreamFullError if fails == "full" else StoreError
            with pytest.raises(expected):
                stream.send("y")
            assert not pauses
            with pytest.raises(expected):
                await asyncio.to_thread(stream.send, "y")
            assert len(pauses) == 1
            assert threading.get_ident() not in pauses
            monkeypatch.undo()
            stream._scheduler.intake.error = None

    run(main())


def test_a_node_stops_though_another_thread_never_stops_sending(tmp_path: Path) -> None:
    sent: list[str] = []
    ended = threading.Event()

    async def main() -> None:
        async with Node("p") as p:
            stream = p.add_stream("t", store=tmp_path / "t.db", full="drop-oldest", max_messages=1000)

            def send() -> None:
                with suppress(ClosedError):
                    while not ended.is_set():
                        with suppress(StreamFullError):  # too much waits to be written
                            sent.append(stream.send("x" * 2000))

            thread = threading.Thread(target=send, daemon=True)
            thread.start()
            await until(lambda: len(sent) > 100)
        thread.join(seconds(5))
        assert not thread.is_alive()

    try:
        run(main())
    finally:
        ended.set()
    store = SqliteStore(tmp_path / "t.db", logger=logging.getLogger("p"))
    assert sent[-1].endswith(f"-{store.open().last_seq}")
    store.close()
