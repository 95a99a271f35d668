"""Invalid input to a stream, failing stores, and callbacks that never return."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zmq

from colugo import ConfigurationError, DuplicateTopicError, Node, StoreError
from colugo.protocol.frames import FrameKind
from colugo.protocol.membership.control import decode_body, decode_control, encode_bare, encode_control
from colugo.protocol.membership.entries import Refusal
from colugo.protocol.streams.deliveries import decode_deliveries, encode_deliveries
from colugo.protocol.streams.joining import Join
from colugo.protocol.streams.settlements import Settlement, SettlementOutcome, encode_settle
from colugo.protocol.streams.stream_message import StreamMessage
from colugo.store import Transaction
from colugo.store.memory_store import MemoryStore
from tests.support.essentials import Collector, run, seconds, until
from tests.support.plain import plain_socket
from tests.support.streaming import JOIN, PING, joined, receive


async def pinged(socket: Any, condition: Callable[[], object]) -> None:
    """Return at the ping at which the condition holds."""
    async with asyncio.timeout(seconds(5)):
        holds = False
        while not holds:
            assert await socket.recv() == PING
            holds = bool(condition())


def test_a_consumer_that_acknowledges_twice_or_what_it_was_never_given_changes_nothing() -> None:
    async def main() -> None:
        async with Node("n") as node:
            stream = node.add_stream("t")
            async with plain_socket(zmq.DEALER, stream.endpoints[0]) as socket:
                stream_id = await joined(socket)
                for n in range(20):
                    stream.send(str(n))
                seqs: list[int] = []
                while len(seqs) < 10:
                    seqs += decode_deliveries(await receive(socket)).seqs
                assert stream.groups["g"].in_flight == 10
                await socket.send(encode_settle(stream_id, [(15, 20)], []))  # never given
                await socket.send(encode_settle(stream_id, [(10**9, 10**9 + 5)], []))
                await socket.send(encode_settle(bytes(8), [(1, 10)], []))  # another stream's
                await until(lambda: stream.stats.unknown >= 6 + 6 + 1)
                assert stream.stats.messages == 20
                await socket.send(encode_settle(stream_id, [(1, 3)], []))
                await until(lambda: stream.groups["g"].acknowledged == 3)
                before = stream.stats.unknown
                await socket.send(encode_settle(stream_id, [(1, 3)], []))  # twice
                nacks = [Settlement(seq, SettlementOutcome.NACK) for seq in (1, 19, 500)]
                await socket.send(encode_settle(stream_id, [], nacks))
                await until(lambda: stream.stats.unknown == before + 6)
                assert stream.groups["g"].acknowledged == 3
                assert stream.stats.messages == 17

    run(main())


def test_one_acknowledgement_of_everything_there_could_be_costs_nothing_and_takes_only_what_was_given() -> (
    None
):
    async def main() -> None:
        async with Node("n") as node:
            stream = node.add_stream("t")
            async with plain_socket(zmq.DEALER, stream.endpoints[0]) as socket:
                stream_id = await joined(socket)
                for n in range(20):
                    stream.send(str(n))
                await until(lambda: stream.groups["g"].in_flight == 10)
                await socket.send(encode_settle(stream_id, [(1, 2**64 - 1)], []))
                await until(lambda: stream.groups["g"].acknowledged >= 10)
                assert stream.stats.messages <= 10

    run(main())


@pytest.mark.parametrize(
    "frames",
    [
        [b""],
        [b"x" * 100],
        [b"\xc1"],
        [b"\xc1" * 50],
        [b"a", b"b"],
        [encode_control(FrameKind.JOIN, {"consumer": "x"})],
        [encode_control(FrameKind.JOIN, {**dict.fromkeys(Join.__struct_fields__, 1)})],
        [encode_control(FrameKind.GREETING, {})],
        [encode_deliveries(bytes(8), [StreamMessage(1, "", b"", b"x", 0, 0)])],
        [encode_settle(bytes(8), [(1, 2)], [])[:-1]],
    ],
    ids=lambda frames: repr(frames[0][:12]),
)
def test_garbage_on_the_port_of_a_stream_is_counted(frames: list[bytes]) -> None:
    async def main() -> None:
        async with Node("n") as node:
            stream = node.add_stream("t")
            got = Collector()
            node.add_consumer("t", got, group="g")
            await stream.ready()
            async with plain_socket(zmq.DEALER, stream.endpoints[0]) as stranger:
                await stranger.send_multipart(frames)
                join = Join("f" * 16, "other", True, False, ["#"], 1, "x")
                await joined(stranger, join)
                before = stream.stats.malformed
                await stranger.send_multipart(frames)
                await until(lambda: stream.stats.malformed == before + 1)
                stream_id = await joined(stranger, join)  # if that was refused, it has left
                stream.send("still here")
                assert await got.reach(1) == ["still here"]
                await stranger.send(encode_settle(stream_id, [(1, 1)], []))
                await stream.drained()

    run(main())


def test_a_join_that_breaks_the_rules_is_refused_with_the_reason() -> None:
    async def main() -> None:
        async with Node("n") as node:
            stream = node.add_stream("t")
            async with plain_socket(zmq.DEALER, stream.endpoints[0]) as stranger:
                fields = {name: getattr(JOIN, name) for name in Join.__struct_fields__}
                for wrong, text in (
                    ({"group": "\n"}, "printable"),
                    ({"bindings": ["a*"]}, "wildcard"),
                    ({"prefetch": -1}, ">= 0"),
                ):
                    await stranger.send(encode_control(FrameKind.JOIN, {**fields, **wrong}))
                    kind, body = decode_control(await receive(stranger))
                    assert kind is FrameKind.REFUSAL
                    assert text in decode_body(body, Refusal).reason
            assert not stream.groups

    run(main())


def test_who_settles_without_having_joined_is_told_to_join() -> None:
    async def main() -> None:
        async with Node("n") as node:
            stream = node.add_stream("t")
            async with plain_socket(zmq.DEALER, stream.endpoints[0]) as stranger:
                await stranger.send(encode_settle(bytes(8), [(1, 2)], []))
                kind, body = decode_control(await receive(stranger))
                assert (kind, decode_body(body, Refusal).again) == (FrameKind.REFUSAL, True)
                await stranger.send(encode_bare(FrameKind.LEAVE))
                kind, _ = decode_control(await receive(stranger))
                assert kind is FrameKind.REFUSAL
                assert stream.stats.malformed == 0

    run(main())


def test_a_consumer_that_says_nothing_more_is_named_gets_nothing_more_and_is_heard_when_it_speaks(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        async with Node("n") as node:
            stream = node.add_stream("t", ack_timeout_ms=200)
            async with plain_socket(zmq.DEALER, stream.endpoints[0]) as socket:
                stream_id = await joined(socket)
                stream.send("x")
                first = decode_deliveries(await receive(socket))
                await pinged(socket, lambda: stream.groups["g"].in_flight == 0)
                (said,) = [text for text in caplog.messages if "is late" in text]
                assert said.startswith("the consumer of t at node stranger, group 'g', is late: silent")
                stream.send("y")
                assert stream.groups["g"].in_flight == 0
                await socket.send(PING)
                again = decode_deliveries(await receive(socket))
                assert (again.seqs[0], again.attempts[0]) == (first.seqs[0], 2)
                await socket.send(encode_settle(stream_id, [(1, 1)], []))
                other = decode_deliveries(await receive(socket))
                await socket.send(encode_settle(stream_id, [(other.seqs[0], other.seqs[0])], []))
                async with asyncio.timeout(seconds(5)):
                    await stream.drained()

    run(main())


# --- a store that fails


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let streams retry a failed write soon."""
    monkeypatch.setattr("colugo.patterns.streams.transaction_writer._RETRY_S", 0.05)


class FailingStore(MemoryStore):
    """A store that refuses transactions on demand."""

    failing = False

    def commit(self, transaction: Transaction, done: Callable[[Any], None]) -> None:
        if FailingStore.failing:
            asyncio.get_running_loop().call_soon(done, StoreError("the disk is full"))
        else:
            super().commit(transaction, done)


def test_a_group_is_recorded_as_offered_only_what_was_written(monkeypatch: pytest.MonkeyPatch) -> None:
    recorded: list[int] = []

    class FirstFails(MemoryStore):
        failed = False

        def commit(self, transaction: Transaction, done: Callable[[Any], None]) -> None:
            if transaction.inserts and not self.failed:
                self.failed = True
                asyncio.get_running_loop().call_soon(done, StoreError("the disk is full"))
                return
            if transaction.inserts:
                recorded.append(transaction.groups["g"].offered)
            super().commit(transaction, done)

    monkeypatch.setattr("colugo.patterns.streams.stream.MemoryStore", FirstFails)

    async def main() -> None:
        async with Node("n") as node:
            stream = node.add_stream("t")
            node.add_consumer("t", str, group="g")
            await stream.ready()
            stream.send("kept")
            with pytest.raises(StoreError):
                await stream.send_wait("given up")
            await stream.drained()
            assert recorded == [1]

    run(main())


def test_what_cannot_be_stored_is_an_error_for_who_waits_and_is_stored_later_for_who_does_not(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("colugo.patterns.streams.stream.MemoryStore", FailingStore)

    async def main() -> None:
        async with Node("n") as node:
            stream = node.add_stream("t")
            await stream.send_wait("before")
            FailingStore.failing = True
            stream.send("not waited for")
            with pytest.raises(StoreError, match="disk is full"):
                await stream.send_wait("waited for")
            with pytest.raises(StoreError, match="not stored: the disk is full"):
                stream.send("while it fails")
            FailingStore.failing = False
            got = Collector()
            node.add_consumer("t", got, group="g")
            assert await got.reach(2) == ["before", "not waited for"]
            await until(lambda: stream.stats.messages == 0)
            await stream.send_wait("after")
            assert await got.reach(3) == ["before", "not waited for", "after"]

    with caplog.at_level(logging.WARNING):
        run(main())
    assert "cannot write to the stream's store; trying again: the disk is full" in caplog.text
    assert "written to again" in caplog.text


def test_acknowledgements_that_cannot_be_stored_are_stored_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("colugo.patterns.streams.stream.MemoryStore", FailingStore)

    async def main() -> None:
        async with Node("n") as node:
            stream = node.add_stream("t")
            got = Collector()
            node.add_consumer("t", got, group="g")
            await stream.ready()
            for n in range(10):
                await stream.send_wait(str(n))
                FailingStore.failing = n % 2 == 1
                if FailingStore.failing:
                    await got.reach(n + 1)
                    await asyncio.sleep(0.01)
                    FailingStore.failing = False
                    await until(lambda: stream._scheduler.intake.error is None)
            async with asyncio.timeout(seconds(10)):
                await stream.drained()
            assert got.items == [str(n) for n in range(10)]

    run(main())


def test_dead_letters_that_cannot_be_resurrected_or_purged_stay_dead_letters(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("colugo.patterns.streams.stream.MemoryStore", FailingStore)

    async def main() -> None:
        async with Node("n") as node:
            stream = node.add_stream("t", max_deliver=1)
            broken = True
            got = Collector()

            def work(message: str) -> None:
                if broken:
                    raise ValueError
                got(message)

            node.add_consumer("t", work, group="g")
            for n in range(3):
                stream.send(str(n))
            await until(lambda: stream.stats.dead == 3)
            broken = False
            FailingStore.failing = True
            with pytest.raises(StoreError):
                await stream.dead_letters.resurrect()
            with pytest.raises(StoreError):
                await stream.dead_letters.purge()
            FailingStore.failing = False
            await until(lambda: stream._scheduler.intake.error is None)
            assert len(await stream.dead_letters.find()) == 3
            assert not got.items
            assert await stream.dead_letters.resurrect() == 3
            await got.reach(3)
            assert stream.stats.dead == 0

    run(main())


def test_a_store_that_cannot_be_opened_leaves_nothing_behind(tmp_path: Path) -> None:
    foreign = tmp_path / "foreign.db"
    foreign.write_text("this is no store" * 100)

    async def main() -> None:
        async with Node("a") as a, Node("b") as b:
            with pytest.raises(StoreError, match=r"foreign\.db"):
                a.add_stream("t", store=foreign)
            stream = a.add_stream("t", store=tmp_path / "t.db")  # the topic is free still
            with pytest.raises(StoreError, match=r"t\.db"):
                b.add_stream("t", store=tmp_path / "t.db")
            with pytest.raises(DuplicateTopicError):
                a.add_stream("t")
            got = Collector()
            b.add_consumer("t", got)
            await stream.send_wait("x")
            assert await got.reach(1) == ["x"]
            assert len([one for one in b.advertisements if one.topic == "t"]) == 1
            with pytest.raises((ConfigurationError, StoreError)):
                b.add_stream("u", store=tmp_path)

    run(main())
    assert foreign.read_text() == "this is no store" * 100


class FullStore(MemoryStore):
    """Takes no messages as long as it has as many as there is room for; everything else it does."""

    room = 3

    def commit(self, transaction: Transaction, done: Callable[[Any], None]) -> None:
        if transaction.inserts and len(self._messages) >= self.room:
            asyncio.get_running_loop().call_soon(done, StoreError("the disk is full"))
        else:
            super().commit(transaction, done)


def test_acknowledgements_make_room_on_a_full_disk_though_messages_wait_to_be_stored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("colugo.patterns.streams.stream.MemoryStore", FullStore)

    async def main() -> None:
        async with Node("n") as node:
            stream = node.add_stream("t")
            for n in range(3):
                await stream.send_wait(str(n))
            stream.send("3")
            with pytest.raises(StoreError):
                await stream.send_wait("not this one")
            got = Collector()
            node.add_consumer("t", got, group="g")
            assert await got.reach(4) == ["0", "1", "2", "3"]
            async with asyncio.timeout(seconds(10)):
                await stream.drained()
            await stream.send_wait("4")

    run(main())


def test_who_only_waits_can_send_again_when_the_store_works_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("colugo.patterns.streams.stream.MemoryStore", FailingStore)

    async def main() -> None:
        async with Node("n") as node:
            stream = node.add_stream("t")
            FailingStore.failing = True
            with pytest.raises(StoreError):
                await stream.send_wait("x")
            FailingStore.failing = False
            async with asyncio.timeout(seconds(10)):
                while True:
                    try:
                        await stream.send_wait("y")
                    except StoreError:
                        await asyncio.sleep(0.05)
                    else:
                        break
            assert stream.stats.messages == 1

    run(main())
