"""Plain ZeroMQ sockets on the other side, as any language has them."""

import asyncio
import threading
from collections.abc import Iterator

import pytest
import zmq

from colugo import ConfigurationError, Node, PeerLost, RemoteError
from tests.support.essentials import Collector, new_realm, run, seconds, until
from tests.support.plain import plain_context


@pytest.fixture
def rep_server() -> Iterator[str]:
    """A plain, lock-step REP server on a thread; answers each request with itself reversed."""
    plain = zmq.Context()
    socket = plain.socket(zmq.REP)
    port = socket.bind_to_random_port("tcp://127.0.0.1")
    stop = threading.Event()

    def serve() -> None:
        while not stop.is_set():
            if socket.poll(20):
                socket.send(socket.recv()[::-1])
        socket.close(0)

    thread = threading.Thread(target=serve)
    thread.start()
    yield f"tcp://127.0.0.1:{port}"
    stop.set()
    thread.join()
    plain.term()


def test_a_plain_sub_listens_to_a_raw_publisher() -> None:
    async def main() -> None:
        async with Node("a") as node, plain_context() as plain:
            publisher = node.add_publisher("t", framing="raw")
            sub = plain.socket(zmq.SUB)
            sub.subscribe(b"a")
            sub.connect(publisher.endpoints[0])
            await publisher.ready()
            for message in ("apple", "pear", b"avocado"):
                publisher.send(message)
            assert [await sub.recv(), await sub.recv()] == [b"apple", b"avocado"]
            sub.close(0)
            await until(lambda: publisher.subscribers == 0)

    run(main())


def test_a_plain_sub_and_a_subscriber_share_a_raw_publisher_with_a_codec() -> None:
    async def main() -> None:
        async with Node("a") as node, Node("b") as other, plain_context() as plain:
            publisher = node.add_publisher("t", framing="raw", codec="json")
            subscriber = other.add_subscriber("t", codec="json")
            sub = plain.socket(zmq.SUB)
            sub.subscribe(b"")
            sub.connect(publisher.endpoints[0])
            await publisher.ready(2)
            publisher.send({"a": 1})
            assert await sub.recv() == b'{"a":1}'
            assert await anext(subscriber) == {"a": 1}

    run(main())


def test_a_plain_sub_on_a_publisher_of_our_framing_gets_nothing_and_is_not_counted() -> None:
    async def main() -> None:
        async with Node("a") as node, plain_context() as plain:
            publisher = node.add_publisher("t")
            subscriber = node.add_subscriber("t")
            sub = plain.socket(zmq.SUB)
            sub.subscribe(b"")
            sub.connect(publisher.endpoints[0])
            await publisher.ready()
            for _ in range(20):
                publisher.send("x")
            for _ in range(20):
                await anext(subscriber)
            assert not await sub.poll(50)
            assert publisher.subscribers == 1

    run(main())


def test_a_subscriber_listens_to_a_plain_pub_by_its_address() -> None:
    async def main() -> None:
        async with Node("a") as node, plain_context() as plain:
            pub = plain.socket(zmq.XPUB)
            port = pub.bind_to_random_port("tcp://127.0.0.1")
            peers = Collector()
            subscriber = node.add_subscriber(
                "anything", on_connect=peers, connect=[f"tcp://127.0.0.1:{port}"]
            )
            assert await pub.recv() == b"\x01"
            await subscriber.ready()
            await pub.send(b"one frame")
            await pub.send_multipart([b"topic", b"payload"])
            assert await anext(subscriber) == b"one frame"
            assert await anext(subscriber) == (b"topic", b"payload")
            assert peers.items[0].node == f"tcp://127.0.0.1:{port}"

    run(main())


def test_a_subscriber_with_a_codec_reads_the_last_frame_of_a_plain_pub() -> None:
    async def main() -> None:
        async with Node("a") as node, plain_context() as plain:
            pub = plain.socket(zmq.XPUB)
            port = pub.bind_to_random_port("tcp://127.0.0.1")
            subscriber = node.add_subscriber("t", codec="json", connect=[f"tcp://127.0.0.1:{port}"])
            await pub.recv()
            await pub.send_multipart([b"topic", b"[1]"])
            assert await anext(subscriber) == [1]

    run(main())


def test_a_plain_pub_that_comes_back_on_its_port_is_heard_again() -> None:
    async def main() -> None:
        async with Node("a") as node, plain_context() as plain:
            gone = asyncio.Queue[str]()
            pub = plain.socket(zmq.XPUB)
            port = pub.bind_to_random_port("tcp://127.0.0.1")
            subscriber = node.add_subscriber(
                "t",
                connect=[f"tcp://127.0.0.1:{port}"],
                on_disconnect=lambda peer, reason: gone.put_nowait(reason),
            )
            await subscriber.ready()
            pub.close(0)
            async with asyncio.timeout(seconds(5)):
                assert await gone.get() == "lost"
            again = plain.socket(zmq.XPUB)
            again.bind(f"tcp://127.0.0.1:{port}")
            await again.recv()
            await again.send(b"back")
            assert await anext(subscriber) == b"back"

    run(main())


@pytest.mark.parametrize("correlate", [0, 1])
def test_a_plain_req_asks_a_server_that_others_use_too(correlate: int) -> None:
    async def main() -> None:
        async with Node("server") as server, Node("client") as asker, plain_context() as plain:
            replier = server.add_reply_server("t", lambda message: message * 2)
            client = asker.add_request_client("t")
            req = plain.socket(zmq.REQ)
            req.set(zmq.REQ_CORRELATE, correlate)
            req.connect(replier.endpoints[0])
            for number in range(20):
                await req.send(f"req{number}".encode())
                plain_reply, reply = await asyncio.gather(req.recv(), client.request(f"ours{number}"))
                assert plain_reply == f"req{number}".encode() * 2
                assert reply == f"ours{number}" * 2
            assert replier.stats.malformed == 0

    run(main())


def test_a_plain_req_gets_an_error_as_an_empty_frame_and_its_text() -> None:
    async def main() -> None:
        def fail(message: bytes) -> bytes:
            raise ValueError(f"cannot use {message!r}")

        async with Node("server") as server, plain_context() as plain:
            replier = server.add_reply_server("t", fail)
            req = plain.socket(zmq.REQ)
            req.connect(replier.endpoints[0])
            await req.send(b"x")
            assert await req.recv_multipart() == [b"", b"ValueError: cannot use b'x'"]

    run(main())


def test_a_plain_req_with_a_codec_speaks_it() -> None:
    async def main() -> None:
        async with Node("server") as server, plain_context() as plain:
            replier = server.add_reply_server("t", sum, codec="json")
            req = plain.socket(zmq.REQ)
            req.connect(replier.endpoints[0])
            await req.send(b"[1,2,3]")
            assert await req.recv() == b"6"

    run(main())


def test_a_client_asks_a_plain_rep_many_at_a_time(rep_server: str) -> None:
    async def main() -> None:
        async with Node("client") as asker:
            client = asker.add_request_client("t", connect=[rep_server])
            replies = await asyncio.gather(*(client.request(f"{number:03}", 10_000) for number in range(100)))
            assert replies == [f"{number:03}".encode()[::-1] for number in range(100)]

    run(main())


def test_a_client_uses_a_plain_rep_and_discovered_servers_in_turn(rep_server: str) -> None:
    async def main() -> None:
        async with Node("server") as server, Node("client") as asker:
            server.add_reply_server("t", lambda message: message)
            client = asker.add_request_client("t", connect=[rep_server])
            await client.ready(2)
            replies = [repr(await client.request("ab")) for _ in range(10)]
            assert sorted(replies) == ["'ab'"] * 5 + ["b'ba'"] * 5

    run(main())


@pytest.mark.parametrize("transport", ["tcp", "ipc"])
def test_a_client_that_is_given_the_address_of_one_of_our_servers_works_and_gets_errors(
    transport: str,
) -> None:
    async def main() -> None:
        def answer(message: bytes) -> bytes:
            if message == b"bad":
                raise KeyError("bad")
            return message

        async with Node("server", realm=new_realm()) as server, Node("client") as asker:
            replier = server.add_reply_server("t", answer)
            (endpoint,) = (one for one in replier.endpoints if one.startswith(transport))
            client = asker.add_request_client("other.topic", connect=[endpoint])
            assert await client.request("good") == b"good"
            with pytest.raises(RemoteError, match="KeyError: 'bad'"):
                await client.request("bad")

    run(main())


def test_a_plain_rep_that_goes_away_fails_its_requests() -> None:
    async def main() -> None:
        async with Node("client") as asker, plain_context() as plain:
            rep = plain.socket(zmq.REP)
            port = rep.bind_to_random_port("tcp://127.0.0.1")
            client = asker.add_request_client("t", connect=[f"tcp://127.0.0.1:{port}"])
            waiting = asyncio.create_task(client.request("x", 10_000))
            await rep.recv()
            rep.close(0)
            with pytest.raises(PeerLost):
                await waiting

    run(main())


@pytest.mark.parametrize("connect", ["tcp://127.0.0.1:1", ["127.0.0.1:1"], [7], ["tcp://127.0.0.1"]])
def test_an_endpoint_that_is_none_is_refused(connect: list[str]) -> None:
    node = Node("a")
    with pytest.raises(ConfigurationError, match="connect="):
        node.add_subscriber("t", connect=connect)
    with pytest.raises(ConfigurationError, match="connect="):
        node.add_request_client("t", connect=connect)
    node.stop()
