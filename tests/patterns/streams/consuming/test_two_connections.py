"""Consumers with several connections to one stream, given and discovered ones."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import pytest
import zmq

from colugo import Consumer, Node, Stream
from colugo.net.directory import DirectoryChange
from colugo.patterns.streams.consuming.consumer_link import ConsumerLink
from colugo.protocol.frames import FrameKind
from colugo.protocol.membership.control import decode_body, decode_control, encode_bare, encode_control
from colugo.protocol.membership.entries import Refusal
from colugo.protocol.streams.settlements import Settlement, SettlementOutcome, encode_settle
from tests.support.essentials import Collector, run, until
from tests.support.plain import plain_socket
from tests.support.streaming import JOIN, drained, joined, receive
from tests.support.tcp_cable import TcpCable


@asynccontextmanager
async def cable_to(stream: Stream) -> AsyncIterator[TcpCable]:
    cable = TcpCable(int(stream.endpoints[0].rsplit(":", 1)[1]))
    await cable.open()
    try:
        yield cable
    finally:
        await cable.cut()


def at(cable: TcpCable) -> str:
    return f"tcp://127.0.0.1:{cable.port}"


def used_by(consumer: Consumer) -> ConsumerLink | None:
    """Return the connection that has the session at the only stream."""
    (source,) = consumer._sessions._sources.values()
    return source.link


async def admitted(consumer: Consumer, n: int) -> None:
    """Return when the stream has admitted the consumer on n connections."""
    await until(lambda: sum(bool(one.stream_id) for one in consumer._sessions.connected) == n)


async def use(consumer: Consumer, link: ConsumerLink) -> None:
    if used_by(consumer) is not link:
        link.join()
        await until(lambda: used_by(consumer) is link and not link.joining)


def asked(monkeypatch: pytest.MonkeyPatch) -> list[ConsumerLink]:
    """Record the connections that send joins from now on."""
    links: list[ConsumerLink] = []
    join = ConsumerLink.join

    def note(link: ConsumerLink, begun: Iterable[int] = ()) -> None:
        links.append(link)
        join(link, begun)

    monkeypatch.setattr(ConsumerLink, "join", note)
    return links


def test_the_newer_connection_is_used_also_if_its_answer_is_read_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[ConsumerLink] = []
    waiting: list[ConsumerLink] = []
    held: list[tuple[ConsumerLink, list[bytes]]] = []
    join, on_message = ConsumerLink.join, ConsumerLink.on_message

    def join_after_the_first(link: ConsumerLink, begun: Iterable[int] = ()) -> None:
        if asked and not held:
            waiting.append(link)
        else:
            asked.append(link)
            join(link, begun)

    def read_the_first_answer_last(link: ConsumerLink, frames: list[bytes]) -> None:
        if not held:
            held.append((link, frames))
            for one in waiting:
                join_after_the_first(one)
        else:
            on_message(link, frames)
            if len(held) == 1:
                held.append(held[0])
                on_message(*held[0])

    monkeypatch.setattr(ConsumerLink, "join", join_after_the_first)
    monkeypatch.setattr(ConsumerLink, "on_message", read_the_first_answer_last)

    async def main() -> None:
        async with Node("p") as p, Node("c") as c:
            stream = p.add_stream("t")
            got = Collector()
            other = stream.endpoints[0].replace("127.0.0.1", "localhost")  # not seen to be the same
            c.add_consumer("t", got, group="g", connect=[other])
            await until(lambda: len(held) == 2)
            for n in range(3):
                stream.send(str(n))
            assert await got.reach(3) == ["0", "1", "2"]
            await drained(stream)
            assert stream.groups["g"].redelivered == 0

    run(main())


def test_when_the_connection_that_is_used_is_lost_the_other_one_is_used() -> None:
    async def main() -> None:
        async with Node("p") as p, Node("c") as c:
            stream = p.add_stream("t")
            async with cable_to(stream) as cable:
                await cable.cut()
                got = Collector()
                consumer = c.add_consumer("t", got, group="g", connect=[at(cable)])
                await consumer.ready()
                discovered = used_by(consumer)
                await cable.open()
                await until(lambda: used_by(consumer) not in (None, discovered))
                stream.send("by the newer one")
                await got.reach(1)
                await cable.cut()
                stream.send("by the one that is left")
                assert await got.reach(2) == ["by the newer one", "by the one that is left"]
                await drained(stream)
                assert consumer.streams == 1

    run(main())


def test_one_that_is_not_used_is_lost_and_nothing_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with Node("p") as p, Node("c") as c:
            stream = p.add_stream("t")
            async with cable_to(stream) as cable:
                got = Collector()
                consumer = c.add_consumer("t", got, group="g", connect=[at(cable)])
                await admitted(consumer, 2)
                discovered = next(one for one in consumer._sessions.connected if one.peer.topic)
                await use(consumer, discovered)
                joins = asked(monkeypatch)
                await cable.cut()
                await until(lambda: consumer._sessions.connected == [discovered])
                stream.send("x")
                await got.reach(1)
                assert not joins

    run(main())


def test_when_the_connection_that_is_used_ends_for_good_the_other_one_is_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def main() -> None:
        async with Node("p") as p, Node("c") as c:
            stream = p.add_stream("t")
            async with cable_to(stream) as cable:
                got = Collector()
                with zmq.Context() as context, context.socket(zmq.ROUTER) as silent:
                    port = silent.bind_to_random_port("tcp://127.0.0.1")
                    consumer = c.add_consumer(
                        "t", got, group="g", connect=[f"tcp://127.0.0.1:{port}", at(cable)]
                    )
                    await until(lambda: len(consumer._sessions.connected) == 3)
                    await admitted(consumer, 2)
                    (given,) = (one for one in consumer._sessions.connected if one.endpoint == at(cable))
                    (discovered,) = (one for one in consumer._sessions.connected if one.peer.topic)
                    await use(consumer, discovered)
                    joins = asked(monkeypatch)
                    consumer._sessions._on_change(
                        DirectoryChange.DOWN, discovered.peer
                    )  # no longer advertised
                    discovered.reconnect()
                    stream.send("x")
                    assert await got.reach(1) == ["x"]
                    assert joins == [given]

    run(main())


def test_when_the_next_one_is_lost_too_the_third_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with Node("p") as p, Node("c") as c:
            stream = p.add_stream("t")
            async with cable_to(stream) as one, cable_to(stream) as other:
                got = Collector()
                consumer = c.add_consumer("t", got, group="g", connect=[at(one), at(other)])
                await admitted(consumer, 3)
                following, used, third = consumer._sessions.connected
                await use(consumer, used)
                joins = asked(monkeypatch)
                for link in (used, following):
                    link.reconnect()
                assert joins == [following, third]

    run(main())


def test_what_is_acknowledged_by_a_connection_that_is_not_the_newest_counts() -> None:
    async def main() -> None:
        async with Node("n") as node:
            stream = node.add_stream("t")
            async with (
                plain_socket(zmq.DEALER, stream.endpoints[0]) as older,
                plain_socket(zmq.DEALER, stream.endpoints[0]) as newer,
            ):
                stream_id = await joined(older)
                stream.send("x")
                stream.send("y")
                await receive(older)
                await joined(newer)
                assert stream.consumers == 1
                await older.send(encode_settle(stream_id, [(1, 2)], [Settlement(2, SettlementOutcome.NACK)]))
                await older.send(encode_bare(FrameKind.PING))
                await drained(stream)
                await older.send(b"garbage")
                await until(lambda: stream.stats.malformed == 1)
                assert stream.groups["g"].acknowledged == 2
                # nothing has asked it to join again, which would take the group's messages from the newer one
                await older.send(encode_control(FrameKind.JOIN, JOIN))
                assert decode_control(await receive(older))[0] is FrameKind.JOINED
                assert (stream.consumers, stream.stats.dead) == (1, 0)

    run(main())


@pytest.mark.parametrize("end", ["leaves", "is lost"])
def test_a_connection_that_is_not_the_newest_is_forgotten_when_it_ends(end: str) -> None:
    async def main() -> None:
        async with Node("n") as node:
            stream = node.add_stream("t")
            async with plain_socket(zmq.DEALER, stream.endpoints[0]) as newer:
                async with plain_socket(zmq.DEALER, stream.endpoints[0]) as older:
                    await joined(older)
                    await joined(newer)
                    assert len(stream._sessions._former) == 1
                    if end == "leaves":
                        await older.send(encode_bare(FrameKind.LEAVE))
                        await until(lambda: not stream._sessions._former)
                await until(lambda: not stream._sessions._former)
                assert stream.consumers == 1

    run(main())


@pytest.mark.parametrize("end", ["leaves", "is lost"])
def test_when_the_newest_connection_ends_the_stream_asks_for_a_join_by_the_one_before(end: str) -> None:
    async def main() -> None:
        async with Node("n") as node:
            stream = node.add_stream("t")
            async with plain_socket(zmq.DEALER, stream.endpoints[0]) as older:
                await joined(older)
                async with plain_socket(zmq.DEALER, stream.endpoints[0]) as newer:
                    await joined(newer)
                    if end == "leaves":
                        await newer.send(encode_bare(FrameKind.LEAVE))
                        await until(lambda: stream.consumers == 0)
                kind, body = decode_control(await receive(older))
                assert (kind, decode_body(body, Refusal).again) == (FrameKind.REFUSAL, True)
                assert not stream._sessions._former

    run(main())


def test_a_consumer_that_was_never_told_of_its_newest_connection_goes_on_when_that_is_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def main() -> None:
        async with Node("p") as p, Node("c") as c:
            stream = p.add_stream("t")
            async with cable_to(stream) as cable:
                await cable.cut()
                got = Collector()
                consumer = c.add_consumer("t", got, group="g", connect=[at(cable)])
                await consumer.ready()
                joins = asked(monkeypatch)
                monkeypatch.setattr(ConsumerLink, "on_message", lambda link, frames: None)
                await cable.open()
                await until(lambda: stream._sessions._former)
                monkeypatch.undo()
                assert [at(cable)] == [link.endpoint for link in joins]
                await cable.cut()
                stream.send("x")
                assert await got.reach(1) == ["x"]

    run(main())
