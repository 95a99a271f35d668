"""Publish/subscribe between real nodes on loopback."""

import asyncio
import logging
import os
import signal
from collections.abc import Sequence

import msgspec
import pytest

from colugo import Advertisement, ClosedError, Codec, ConfigurationError, MessageInfo, Node
from tests.support.essentials import Collector, Program, run, seconds, until


class Reading(msgspec.Struct):
    sensor: str
    celsius: float


class Upper(Codec):
    name = "upper"

    def encode(self, message: str) -> bytes:
        return message.upper().encode()

    def decode(self, data: bytes) -> str:
        return data.decode().lower()


async def deliver(
    messages: Sequence[object], *, codec: object = None, framing: str = "colugo"
) -> list[object]:
    """Send messages from one node to another and return what arrived."""
    async with Node("a") as a, Node("b") as b:
        received = Collector()
        publisher = a.add_publisher("t", codec=codec, framing=framing)
        b.add_subscriber("t", received, codec=codec)
        await publisher.ready()
        for message in messages:
            publisher.send(message)
        return await received.reach(len(messages))


def test_str_arrives_as_str_and_bytes_as_bytes_in_order() -> None:
    messages = ["grüß", b"\x00\xff", "", b"", "x" * 100_000, b"y" * 3_000_000]
    assert run(deliver(messages)) == messages


def test_bytearray_and_memoryview_arrive_as_bytes() -> None:
    assert run(deliver([bytearray(b"ab"), memoryview(b"cd")])) == [b"ab", b"cd"]


@pytest.mark.parametrize("codec", ["json", "msgpack", "cbor", "pickle"])
def test_objects_travel_by_named_codec(codec: str) -> None:
    messages: list[object] = [{"a": [1, 2.5, None, True, "ü"]}, [], 0, "text"]
    assert run(deliver(messages, codec=codec)) == messages


def test_structs_travel_typed() -> None:
    assert run(deliver([Reading("door", 21.5)], codec=Reading)) == [Reading("door", 21.5)]


def test_a_codec_of_ones_own_is_used() -> None:
    assert run(deliver(["Hello"], codec=Upper())) == ["hello"]


def test_raw_framing_between_nodes_delivers_bytes() -> None:
    assert run(deliver(["text", b"bytes"], framing="raw")) == [b"text", b"bytes"]


def test_all_subscribers_get_every_message_of_all_publishers() -> None:
    async def main() -> None:
        nodes = [Node(f"n{number}") for number in range(4)]
        received = [Collector() for _ in nodes]
        publishers = [node.add_publisher("t") for node in nodes]
        for node, collector in zip(nodes, received, strict=True):
            node.add_subscriber("t", collector)
        async with nodes[0], nodes[1], nodes[2], nodes[3]:
            for publisher in publishers:
                await publisher.ready(4)
            for number, publisher in enumerate(publishers):
                for message in range(50):
                    publisher.send(f"{number}.{message}")
            for collector in received:
                items = await collector.reach(200)
                for number in range(4):
                    own = [item for item in items if item.startswith(f"{number}.")]
                    assert own == [f"{number}.{message}" for message in range(50)]

    run(main())


def test_a_pattern_gets_the_topics_that_fit_and_no_others() -> None:
    async def main() -> None:
        async with Node("a") as a, Node("b") as b:
            seen: list[tuple[str, str]] = []
            all_there = asyncio.Event()

            def keep(message: str, info: MessageInfo) -> None:
                seen.append((info.topic, message))
                if len(seen) == 3:
                    all_there.set()

            subscriber = b.add_subscriber("lab.#", keep)
            publishers = {
                topic: a.add_publisher(topic) for topic in ("lab", "lab.door", "lab.a.b", "office.door")
            }
            await subscriber.ready(3)
            for topic, publisher in publishers.items():
                publisher.send(topic)
            async with asyncio.timeout(seconds(5)):
                await all_there.wait()
            assert sorted(seen) == [(topic, topic) for topic in ("lab", "lab.a.b", "lab.door")]
            assert publishers["office.door"].subscribers == 0

    run(main())


def test_info_tells_topic_sender_number_and_time() -> None:
    async def main() -> None:
        async with Node("sender") as a, Node("b") as b:
            publisher = a.add_publisher("t")
            subscriber = b.add_subscriber("t")
            await publisher.ready()
            publisher.send("x")
            publisher.send("y")
            pairs = []
            async with asyncio.timeout(seconds(5)):
                async for message, info in subscriber.with_info():
                    pairs.append((message, info))
                    if len(pairs) == 2:
                        break
            (x, first), (y, second) = pairs
            assert (x, y) == ("x", "y")
            assert (first.sequence, second.sequence) == (0, 1)
            assert first.peer is not None
            assert (first.peer.node, first.peer.node_id) == ("sender", a.uuid.bytes)
            assert first.sent_ns is not None
            assert second.sent_ns is not None
            assert 0 < first.sent_ns <= second.sent_ns

    run(main())


def test_a_late_joiner_gets_what_is_sent_after_ready() -> None:
    async def main() -> None:
        async with Node("a") as a, Node("b") as b:
            publisher = a.add_publisher("t")
            for number in range(10):
                publisher.send(f"early {number}")
            subscriber = b.add_subscriber("t")
            await subscriber.ready()
            publisher.send("now")
            assert await anext(subscriber) == "now"
            assert subscriber.stats.received == 1

    run(main())


def test_a_node_hears_its_own_publisher() -> None:
    async def main() -> None:
        async with Node("a") as node:
            publisher = node.add_publisher("t")
            subscriber = node.add_subscriber("t")
            await publisher.ready()
            publisher.send("me")
            assert await anext(subscriber) == "me"

    run(main())


def test_a_coroutine_callback_handles_one_message_after_another() -> None:
    async def main() -> None:
        async with Node("a") as a, Node("b") as b:
            running = 0
            handled: list[int] = []
            done = asyncio.Event()

            async def slow(message: int) -> None:
                nonlocal running
                running += 1
                assert running == 1
                await asyncio.sleep(0)
                running -= 1
                handled.append(message)
                if len(handled) == 100:
                    done.set()

            publisher = a.add_publisher("t", codec="json")
            b.add_subscriber("t", slow, codec="json")
            await publisher.ready()
            for number in range(100):
                publisher.send(number)
            async with asyncio.timeout(seconds(5)):
                await done.wait()
            assert handled == list(range(100))
            assert b.callback_errors == 0

    run(main())


def test_a_full_queue_drops_the_oldest_and_counts_them() -> None:
    async def main() -> None:
        async with Node("a") as a, Node("b") as b:
            seen = Collector()
            publisher = a.add_publisher("t", codec="json")
            slow = b.add_subscriber("t", codec="json", queue=5)
            b.add_subscriber("t", seen, codec="json")
            await publisher.ready(2)
            for number in range(20):
                publisher.send(number)
            await seen.reach(20)
            await until(lambda: slow.stats.received == 20)
            assert slow.stats.dropped == 15
            assert [await anext(slow) for _ in range(5)] == [15, 16, 17, 18, 19]

    run(main())


def test_two_topics_of_one_node_do_not_mix() -> None:
    async def main() -> None:
        async with Node("a") as a, Node("b") as b:
            one, two = a.add_publisher("one"), a.add_publisher("two")
            first, second = b.add_subscriber("one"), b.add_subscriber("two")
            await one.ready()
            await two.ready()
            two.send("2")
            one.send("1")
            assert (await anext(first), await anext(second)) == ("1", "2")

    run(main())


def test_iteration_ends_when_the_node_stops() -> None:
    async def main() -> None:
        node = Node("a")
        async with node:
            subscriber = node.add_subscriber("t")

            async def collect() -> list[str]:
                return [message async for message in subscriber]

            task = asyncio.create_task(collect())
            await asyncio.sleep(0)
        assert await task == []

    run(main())


def test_a_subscriber_with_a_callback_cannot_be_iterated() -> None:
    async def main() -> None:
        async with Node("a") as node:
            subscriber = node.add_subscriber("t", print)
            with pytest.raises(ConfigurationError, match="has a callback"):
                aiter(subscriber)

    run(main())


def test_connect_and_disconnect_are_told_once_a_peer_with_the_reason() -> None:
    async def main() -> None:
        async with Node("watcher") as watcher:
            connected, gone = Collector(), asyncio.Queue[tuple[Advertisement, str]]()
            subscriber = watcher.add_subscriber(
                "t", print, connected, on_disconnect=lambda peer, reason: gone.put_nowait((peer, reason))
            )
            for name in ("first", "second"):
                async with Node(name) as node:
                    node.add_publisher("t")
                    await subscriber.ready()
                    assert [peer.node for peer in subscriber.publishers] == [name]
                async with asyncio.timeout(seconds(5)):
                    peer, reason = await gone.get()
                assert (peer.node, reason) == (name, "withdrawn")
            assert [peer.node for peer in connected.items] == ["first", "second"]
            assert gone.empty()
            assert subscriber.publishers == []

    run(main())


def test_what_was_sent_before_the_stop_still_arrives() -> None:
    async def main() -> None:
        async with Node("b") as b:
            received = Collector()
            b.add_subscriber("t", received)
            async with Node("a") as a:
                publisher = a.add_publisher("t")
                await publisher.ready()
                for number in range(5000):
                    publisher.send(f"{number} {'x' * 200}")
            items = await received.reach(5000)
            assert [item.split()[0] for item in items] == [str(number) for number in range(5000)]

    run(main())


def test_send_from_many_threads_loses_nothing() -> None:
    async def main() -> None:
        async with Node("a") as a, Node("b") as b:
            received = Collector()
            publisher = a.add_publisher("t", codec="json")
            b.add_subscriber("t", received, codec="json")
            await publisher.ready()

            def send(thread: int) -> None:
                for number in range(200):
                    publisher.send([thread, number])

            await asyncio.gather(*(asyncio.to_thread(send, thread) for thread in range(5)))
            items = await received.reach(1000)
            for thread in range(5):
                assert [number for sender, number in items if sender == thread] == list(range(200))

    run(main())


PUBLISHER = """
import sys
from colugo import Node
node = Node("victim")
publisher = node.add_publisher("t", port=int(sys.argv[1]) if len(sys.argv) > 1 else None)
node.add_repeater(5, lambda: publisher.send("beat"))
node.start()
"""


@pytest.mark.usefixtures("transport")
def test_a_killed_publisher_is_noticed_and_its_restart_found(realm: str) -> None:
    async def main() -> None:
        async with Node("watcher") as watcher:
            events: asyncio.Queue[str] = asyncio.Queue()
            subscriber = watcher.add_subscriber(
                "t",
                lambda message: None,
                lambda peer: events.put_nowait(f"up {peer.node}"),
                on_disconnect=lambda peer, reason: events.put_nowait(f"{reason} {peer.node}"),
            )
            for _ in range(2):
                with Program(["-c", PUBLISHER], realm=realm) as victim:
                    async with asyncio.timeout(seconds(10)):
                        assert await events.get() == "up victim"
                    os.kill(victim.pid, signal.SIGKILL)
                    async with asyncio.timeout(seconds(2)):
                        assert await events.get() == "lost victim"
            assert subscriber.stats.publishers == 0

    run(main(), within=30)


@pytest.mark.usefixtures("transport")
def test_a_restart_on_the_same_port_is_a_new_peer_and_its_messages_arrive(realm: str) -> None:
    async def main() -> None:
        async with Node("probe") as probe:
            port = str(int(probe.add_publisher("p").endpoints[0].rsplit(":", 1)[1]))
        async with Node("watcher") as watcher:
            peers, messages = Collector(), Collector()
            watcher.add_subscriber("t", messages, peers)
            for count in (1, 2, 3):
                with Program(["-c", PUBLISHER, port], realm=realm) as victim:
                    await peers.reach(count)
                    have = len(messages.items)
                    await messages.reach(have + 3)
                    victim.kill()
            assert len({peer.socket_id for peer in peers.items}) == 3

    run(main(), within=40)


SEVERAL_SOCKETS = PUBLISHER.replace(
    "node.start()", "node.add_publisher('other'); node.add_reply_server('r', print); node.start()"
)


@pytest.mark.usefixtures("transport")
def test_all_sockets_of_a_killed_node_are_dropped_from_the_directory(realm: str) -> None:
    async def main() -> None:
        async with Node("watcher") as watcher:
            peers = Collector()
            watcher.add_subscriber("t", print, peers)
            with Program(["-c", SEVERAL_SOCKETS], realm=realm) as victim:
                await peers.reach(1)
                await until(lambda: len(watcher.advertisements) == 3)
                victim.kill()
            await until(lambda: not watcher.advertisements, within=5)

    run(main())


def test_a_callback_that_raises_is_logged_and_counted_and_the_next_message_arrives(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        async with Node("a") as a, Node("b") as b:
            received = Collector()

            def picky(message: str) -> None:
                if message == "bad":
                    raise KeyError("this one")
                received(message)

            publisher = a.add_publisher("t")
            b.add_subscriber("t", picky)
            await publisher.ready()
            publisher.send("bad")
            publisher.send("good")
            assert await received.reach(1) == ["good"]
            assert b.callback_errors == 1

    with caplog.at_level(logging.ERROR):
        run(main())
    assert "callback of t raised" in caplog.text
    assert "this one" in caplog.text
    assert "Traceback" in caplog.text


def test_what_does_not_decode_is_counted_told_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with Node("sender") as a, Node("b") as b:
            received, errors = Collector(), Collector()
            publisher = a.add_publisher("t")
            subscriber = b.add_subscriber("t", received, codec="json", on_error=errors)
            await publisher.ready()
            for _ in range(3):
                publisher.send(b"{not json")
            publisher.send(b'{"a": 1}')
            assert await received.reach(1) == [{"a": 1}]
            assert len(errors.items) == 3
            assert "json" in str(errors.items[0])
            assert subscriber.stats.undecodable == 3

    with caplog.at_level(logging.WARNING):
        run(main())
    lines = [record.getMessage() for record in caplog.records if "does not decode" in record.getMessage()]
    assert len(lines) == 1
    assert "on t" in lines[0]
    assert "sender" in lines[0]


def test_sending_after_the_stop_is_an_error_that_says_so() -> None:
    async def main() -> None:
        async with Node("a") as node:
            publisher = node.add_publisher("t")
        with pytest.raises(ClosedError, match="stopped"):
            publisher.send("x")

    run(main())
