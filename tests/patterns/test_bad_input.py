"""Wrong arguments of users and malformed messages of peers: a clear error or a count, and no other harm."""

import asyncio
import logging
import os
import random
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import zmq
from zeroconf import ServiceInfo
from zeroconf.asyncio import AsyncZeroconf

from colugo import (
    BindError,
    ConfigurationError,
    EncodeError,
    MessageTooLargeError,
    Node,
    RemoteError,
    TopicError,
)
from colugo.net.directory import DirectoryChange, DirectoryEvent
from colugo.net.mdns.query import SERVICE_TYPE
from colugo.protocol.advertisement import Advertisement, SocketKind, to_txt
from tests.support.essentials import Collector, Program, is_free, run, seconds, until
from tests.support.plain import plain_context, plain_socket

MIB = 1024 * 1024


def address_of(part: Any) -> tuple[str, int]:
    """Host and port of something bound."""
    host, port = part.endpoints[0].removeprefix("tcp://").rsplit(":", 1)
    return host, int(port)


def resident_bytes() -> int:
    """How much memory this process has."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


@asynccontextmanager
async def one_of_each() -> AsyncIterator[tuple[Node, Any, Any, Any, Any]]:
    """A node with everything bound, whose health is checked at the end."""
    async with Node("target", max_message_bytes=MIB) as node, Node("friend") as friend:
        publisher = node.add_publisher("t")
        plain = node.add_publisher("raw", framing="raw")
        server = node.add_reply_server("r", lambda message: message)
        received = Collector()
        friend.add_subscriber("t", received)
        client = friend.add_request_client("r")
        stream = node.add_stream("s")
        consumed = Collector()
        friend.add_consumer("s", consumed, group="g")
        await publisher.ready()
        await stream.ready()
        yield node, publisher, plain, server, stream
        stream.send("kept")
        assert await consumed.reach(1) == ["kept"]
        await stream.drained()
        publisher.send("still here")
        assert await received.reach(1) == ["still here"]
        assert await client.request("and here") == "and here"
        assert node.callback_errors == 0


GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x01NULL" + bytes(16) + b"\x00" + bytes(31)
READY_DEALER = b"\x04\x1a\x05READY\x0bSocket-Type\x00\x00\x00\x06DEALER"
JUNK = {
    "nothing": b"",
    "zeros": bytes(1000),
    "random": random.Random(1).randbytes(100_000),
    "http": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "tls": bytes.fromhex("160301020001000 1fc0303".replace(" ", "")) + bytes(500),
    "ssh": b"SSH-2.0-OpenSSH_9.2\r\n",
    "half a greeting": GREETING[:20],
    "a greeting and noise": GREETING + random.Random(2).randbytes(1000),
    "a frame of 2**62 bytes": GREETING + READY_DEALER + b"\x02" + struct.pack(">Q", 1 << 62) + b"abc",
    "a frame over the limit": GREETING + READY_DEALER + b"\x02" + struct.pack(">Q", 3 * MIB) + bytes(3 * MIB),
}


@pytest.mark.parametrize("name", JUNK)
def test_a_stranger_with_foreign_bytes_harms_no_bound_port(name: str) -> None:
    async def main() -> None:
        async with one_of_each() as (_, *parts):
            for part in parts:
                reader, writer = await asyncio.open_connection(*address_of(part))
                with suppress(OSError):  # it hangs up on us while we write: that is its right
                    writer.write(JUNK[name])
                    await writer.drain()
                    writer.write_eof()
                    async with asyncio.timeout(seconds(5)):
                        await reader.read()
                writer.close()
                with suppress(OSError):
                    await writer.wait_closed()

    run(main(), within=30)


@pytest.mark.parametrize("kind", [zmq.SUB, zmq.XSUB, zmq.PUSH, zmq.REQ, zmq.DEALER, zmq.ROUTER, zmq.PAIR])
def test_a_stranger_with_any_zeromq_socket_harms_no_bound_port(kind: int) -> None:
    async def main() -> None:
        plain = zmq.Context()
        strangers = []
        try:
            async with one_of_each() as (_, *parts):
                for part in parts:
                    stranger = plain.socket(kind)
                    strangers.append(stranger)
                    if kind == zmq.SUB:
                        stranger.subscribe(b"\xc1")
                    stranger.connect(part.endpoints[0])
                    await asyncio.sleep(0)
                    for message in ([b"\x01@12345678", b"x"], [b"\x07"], [b"", b"", b""], [b"x" * 3000]):
                        with suppress(zmq.ZMQError):  # some kinds of socket cannot send this, or at all
                            stranger.send_multipart(message, zmq.NOBLOCK)
        finally:
            plain.destroy(linger=0)

    run(main())


def test_malformed_requests_are_counted_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with (
            one_of_each() as (_, _publisher, _plain, server, _stream),
            plain_socket(zmq.DEALER, server.endpoints[0]) as stranger,
        ):
            for frames in (
                [b"\xc1"],
                [b"\xc1" * 40],
                [b"hello", b"world"],
                [b"x"],
                [b"\xc1\x02" + bytes(40)],
            ):
                await stranger.send_multipart(frames)
            await until(lambda: server.stats.malformed == 5)

    run(main())
    assert len([one for one in caplog.records if "is malformed" in one.getMessage()]) == 1


def test_malformed_publications_are_counted_and_the_good_ones_arrive(realm: str) -> None:
    """A stranger that is advertised as one of ours, and sends garbage under our prefix."""

    async def main() -> None:
        async with Node("b") as node, Node("a") as good, plain_context() as plain:
            received = Collector()
            subscriber = node.add_subscriber("t", received)
            evil = plain.socket(zmq.XPUB)
            port = evil.bind_to_random_port("tcp://127.0.0.1")
            node._runtime.registry.on_event(_up(_advertisement(realm, port)))
            filter_ = await evil.recv()
            for frame in (
                b"\xc1",
                b"\xc1\x01\x01\x00" + bytes(28),
                filter_[1:] + b"junk",
                filter_[1:],
                b"\xc1" * 99,
            ):
                await evil.send(filter_[1:] + frame if not frame.startswith(b"\xc1") else frame)
                await evil.send(filter_[1:] + frame)
            await until(lambda: subscriber.stats.malformed >= 5)
            publisher = good.add_publisher("t")
            await publisher.ready()
            publisher.send("good")
            assert await received.reach(1) == ["good"]

    run(main())


def _up(advertisement: Advertisement) -> Any:
    return DirectoryEvent(DirectoryChange.UP, advertisement)


def _advertisement(realm: str, port: int, **changes: Any) -> Advertisement:
    fields: dict[str, Any] = {
        "socket_id": os.urandom(8),
        "kind": SocketKind.PUBLISHER,
        "topic": "t",
        "node": "stranger",
        "node_id": os.urandom(16),
        "realm": realm,
        "addresses": ("127.0.0.1",),
        "port": port,
    }
    return Advertisement(**(fields | changes))


def test_a_message_over_the_limit_is_refused_where_it_is_sent() -> None:
    async def main() -> None:
        async with Node("a", max_message_bytes=1000 * 1024) as node:
            publisher = node.add_publisher("t")
            client = node.add_request_client("r")
            for send in (publisher.send, client.send):
                with pytest.raises(
                    MessageTooLargeError, match="has 1024001 bytes, max_message_bytes is 1024000"
                ):
                    send(b"x" * 1024001)
            assert publisher.stats.sent == 0

    run(main())


FLOOD = """
import sys, zmq
context = zmq.Context()
socket = context.socket(zmq.DEALER)
socket.set(zmq.LINGER, 0)
socket.connect(sys.argv[1])
message = bytes(200 * 1024 * 1024)
monitor = socket.get_monitor_socket(zmq.EVENT_DISCONNECTED)
for _ in range(3):
    socket.send(message, copy=False)
    assert monitor.poll(20000), "was not cut off"
    monitor.recv_multipart()
print("cut off 3 times", flush=True)
context.destroy(linger=0)
"""


def test_a_message_over_the_limit_from_a_stranger_takes_no_memory(realm: str) -> None:
    async def main() -> None:
        async with one_of_each() as (_, _publisher, _plain, server, _stream):
            before = resident_bytes()
            with Program(["-c", FLOOD, server.endpoints[0]], realm=realm) as flood:
                await asyncio.to_thread(flood.expect, "cut off 3 times", within=30)
                assert flood.wait() == 0
            assert resident_bytes() - before < 20 * MIB
            assert server.stats.requests == 0

    run(main(), within=60)


def test_a_reply_over_the_limit_of_the_server_fails_the_request_with_the_reason() -> None:
    async def main() -> None:
        async with Node("server", max_message_bytes=MIB) as server, Node("client") as asker:
            server.add_reply_server("t", lambda message: b"x" * 2 * MIB)
            with pytest.raises(RemoteError, match="MessageTooLargeError"):
                await asker.add_request_client("t").request("x")

    run(main())


@pytest.mark.parametrize(
    "topic", ["", "x" * 201, "two words", "lab.*", "#", "ümlaut", "tab\t", None, 7, b"bytes"]
)
def test_a_topic_that_is_none_is_refused_everywhere_with_the_reason(topic: Any) -> None:
    node = Node("a")
    for add in (
        lambda: node.add_publisher(topic),
        lambda: node.add_reply_server(topic, print),
        lambda: node.add_request_client(topic),
    ):
        with pytest.raises(TopicError) as raised:
            add()
        assert "topic" in str(raised.value)
    node.stop()


@pytest.mark.parametrize("pattern", ["", "a*", "x.#y", "*" * 201, "a b.*", None, 7])
def test_a_pattern_that_is_none_is_refused(pattern: Any) -> None:
    node = Node("a")
    with pytest.raises(TopicError):
        node.add_subscriber(pattern, print)
    node.stop()


@pytest.mark.parametrize("message", [7, None, 1.5, ["x"], {"a": 1}, object()])
def test_an_object_without_a_codec_is_a_type_error_that_names_the_codecs(message: Any) -> None:
    node = Node("a")
    publisher = node.add_publisher("t")
    with pytest.raises(EncodeError, match='"json", "msgpack", "cbor"') as raised:
        publisher.send(message)
    assert isinstance(raised.value, TypeError)
    assert type(message).__name__ in str(raised.value)
    node.stop()


def test_an_object_that_the_codec_cannot_carry_is_an_error_at_the_sender() -> None:
    node = Node("a")
    publisher = node.add_publisher("t", codec="json")
    with pytest.raises(EncodeError, match="object cannot be sent with the codec json"):
        publisher.send(object())
    node.stop()


@pytest.mark.parametrize("codec", ["xml", 7, str, object()])
def test_a_codec_that_is_none_is_refused(codec: Any) -> None:
    node = Node("a")
    with pytest.raises(ConfigurationError, match="codec"):
        node.add_publisher("t", codec=codec)
    node.stop()


def test_a_port_that_is_taken_is_an_error_with_address_and_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        node = Node("a")
        with pytest.raises(
            BindError, match=rf"cannot bind 127\.0\.0\.1 port {port}: another socket has that port"
        ):
            node.add_publisher("t", port=port)
        with pytest.raises(BindError):
            node.add_reply_server("t", print, port=port)
        node.add_publisher("t")
        node.stop()


@pytest.mark.parametrize("port", [0, -1, 65536, "7000", True, 1.5])
def test_a_port_that_is_none_is_refused(port: Any) -> None:
    node = Node("a")
    with pytest.raises(ConfigurationError, match="a port must be an integer from 1 to 65535"):
        node.add_publisher("t", port=port)
    node.stop()


def test_a_port_that_is_given_is_used() -> None:
    async def main() -> None:
        async with Node("a") as node:
            first = node.add_publisher("t")
            _, port = address_of(first)
            first.close()
            await until(lambda: is_free(port))
            second = node.add_publisher("t", port=port)
            assert second.endpoints[0] == f"tcp://127.0.0.1:{port}"

    run(main())


@pytest.mark.parametrize("scope", ["eth99", "192.0.2.250", "nowhere", "127.0.0.1,eth99"])
def test_an_interface_that_does_not_exist_is_an_error_that_lists_those_that_do(scope: str) -> None:
    with pytest.raises(ConfigurationError, match=r"no interface or address .*it has: .*127\.0\.0\.1"):
        Node("a", scope=scope)


@pytest.mark.parametrize("realm", ["x" * 25, "two words", "*"])
def test_a_realm_that_is_none_is_refused(realm: str) -> None:
    with pytest.raises(ConfigurationError, match="a realm has 1 to 24"):
        Node("a", realm=realm)


@pytest.mark.parametrize("size", [0, 10, -1, "1000", True])
def test_a_limit_that_is_none_is_refused(size: Any) -> None:
    with pytest.raises(ConfigurationError, match="max_message_bytes must be an integer ≥ 1024"):
        Node("a", max_message_bytes=size)


@pytest.mark.parametrize("hwm", [0, -1, True, "10", 1.5])
def test_a_high_water_mark_that_is_none_is_refused(hwm: Any) -> None:
    node = Node("a")
    with pytest.raises(ConfigurationError, match="hwm must be an integer ≥ 1"):
        node.add_publisher("t", hwm=hwm)
    with pytest.raises(ConfigurationError, match="queue must be an integer ≥ 1"):
        node.add_subscriber("t", queue=hwm)
    node.stop()


@pytest.mark.parametrize("callback", [lambda: None, lambda a, b, c: None, 7, "name"])
def test_a_callback_that_cannot_be_called_so_is_refused_at_once(callback: Any) -> None:
    node = Node("a")
    with pytest.raises(ConfigurationError, match="callback of t"):
        node.add_subscriber("t", callback)
    with pytest.raises(ConfigurationError, match="callback of t"):
        node.add_reply_server("t", callback)
    node.stop()


def records(realm: str) -> dict[str, tuple[dict[str | bytes, str | bytes | None], int]]:
    """Foreign and malformed records of our type."""
    good: dict[str | bytes, str | bytes | None] = dict(to_txt(_advertisement(realm, 1)).items())
    return {
        "empty": ({}, 1234),
        "no-topic": ({key: value for key, value in good.items() if key != "t"}, 1234),
        "bad-topic": (good | {"t": "two words"}, 1234),
        "long-topic": (good | {"t": "x" * 240}, 1234),
        "bad-kind": (good | {"k": "nonsense"}, 1234),
        "bad-id": (good | {"i": "!!!"}, 1234),
        "short-id": (good | {"u": "AAAA"}, 1234),
        "bad-version": (good | {"v": "999"}, 1234),
        "bad-realm": (good | {"r": "a b"}, 1234),
        "port-0": (good, 0),
        "not-utf-8": (good | {"n": b"\xff\xfe"}, 1234),
        "value-less": (good | {"t": None}, 1234),
        "8-KB": (good | {"v": "0"} | {f"x{number}": "y" * 200 for number in range(40)}, 1234),
    }


def test_malformed_records_are_ignored_logged_once_and_the_good_ones_found(
    realm: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        zeroconf = AsyncZeroconf(interfaces=["127.0.0.1"])
        try:
            async with Node("b") as node:
                peers = Collector()
                node.add_subscriber("t", print, peers)
                for name, (txt, port) in records(realm).items():
                    info = ServiceInfo(
                        SERVICE_TYPE,
                        f"{name}-{realm}.{SERVICE_TYPE}",
                        port=port,
                        parsed_addresses=["127.0.0.1"],
                        properties=txt,
                        server=f"{realm}.local.",
                    )
                    await zeroconf.async_register_service(info, cooperating_responders=True)
                async with Node("good") as good:
                    good.add_publisher("t")
                    assert [peer.node for peer in await peers.reach(1)] == ["good"]
                    await until(lambda: len(ignored(caplog)) == 2)
                    assert [one.node for one in node.advertisements] == ["good"]
                assert node.callback_errors == 0
        finally:
            await zeroconf.async_close()

    with caplog.at_level(logging.INFO):
        run(main())
    assert not [one for one in caplog.records if one.levelno >= logging.ERROR]
    # a kind that is not known may be one of a newer version: nothing to warn of
    assert sorted(one.levelno for one in ignored(caplog)) == [logging.INFO, logging.WARNING]
    (kind,) = [one.getMessage() for one in ignored(caplog) if one.levelno == logging.INFO]
    assert kind.endswith("unknown kind 'nonsense'")


def ignored(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [one for one in caplog.records if "ignored the mDNS record" in one.getMessage()]
