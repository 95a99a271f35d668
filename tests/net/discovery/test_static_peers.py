"""Without mDNS, nodes with the address of one node find all nodes."""

import asyncio
import errno
import itertools
import logging
import os
import random
import signal
import socket
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any

import pytest
import zmq
import zmq.asyncio

from colugo import ConfigurationError, Node
from colugo.net.addresses.interfaces import HOST, Scope
from colugo.net.directory import Listener
from colugo.net.discovery.static_directory import StaticDirectory
from colugo.net.discovery.static_peers import StaticPeer, check_peers
from colugo.protocol.frames import MAGIC, VERSION, FrameKind
from colugo.protocol.membership.control import encode_control
from colugo.protocol.membership.entries import Greeting, NodeEntries, NodeEntry
from tests.support.essentials import Program, free_port, new_realm, run, until
from tests.support.plain import plain_socket

PEER = """
import os, sys
from colugo import Node

class Peer(Node):
    def __init__(self, name):
        super().__init__(name, mdns=False)
        self.add_publisher(f"from.{name}")
        self.add_repeater(10, self.look)
        self.seen = []
    def look(self):
        seen = sorted(one.node for one in self.nodes)
        if seen != self.seen:
            self.seen = seen
            print("nodes", *seen, ".", flush=True)

Peer(sys.argv[1]).start()
"""


def port_of(node: Node) -> int:
    return next(one.port for one in node.nodes if one.node_id == node.uuid.bytes)


def where(node: Node) -> str:
    return f"127.0.0.1:{port_of(node)}"


def names(node: Node) -> list[str]:
    return sorted(one.node for one in node.nodes)


def alone(name: str, *peers: str, **options: Any) -> Node:
    """A node without mDNS."""
    return Node(name, mdns=False, peers=list(peers), **options)


async def all_know(*nodes: Node, within: float = 10.0) -> None:
    expected = sorted(node.name for node in nodes)
    await until(lambda: all(names(node) == expected for node in nodes), within)


def start(name: str, realm: str, port: int, *peers: int) -> Program:
    env = {"COLUGO_PEERS": ",".join(f"127.0.0.1:{one}" for one in peers), "COLUGO_PORT": str(port)}
    return Program(["-c", PEER, name], realm=realm, env=env)


def stranger(node: Node) -> AbstractAsyncContextManager[zmq.asyncio.Socket]:
    """A socket that sends arbitrary messages."""
    return plain_socket(zmq.DEALER, f"tcp://{where(node)}")


# --- knowing one is knowing all


def test_nodes_with_one_peer_in_common_find_each_other_and_talk() -> None:
    async def main() -> None:
        async with alone("hub") as hub, alone("one", where(hub)) as one, alone("two", where(hub)) as two:
            await all_know(hub, one, two)
            publisher = one.add_publisher("t")
            subscriber = two.add_subscriber("t")
            two.add_reply_server("r", lambda message: f"{message} too")
            client = one.add_request_client("r")
            await publisher.ready()
            publisher.send("hello")
            assert await anext(subscriber) == "hello"
            assert await client.request("hello", 5000) == "hello too"

    run(main())


@pytest.mark.parametrize("order", list(itertools.permutations(["hub", "one", "two"])))
def test_they_may_start_in_any_order(order: tuple[str, ...]) -> None:
    port = free_port()

    async def main() -> None:
        async with AsyncExitStack() as stack:
            nodes = []
            for name in order:
                node = alone("hub", port=port) if name == "hub" else alone(name, f"127.0.0.1:{port}")
                nodes.append(await stack.enter_async_context(node))
            await all_know(*nodes)

    run(main())


class SlowToOpen(StaticDirectory):
    """A directory that is slow to open, like mDNS."""

    async def open(self, listener: Listener) -> None:
        await asyncio.sleep(0.3)
        await super().open(listener)


def test_who_greets_a_node_that_is_just_starting_is_heard_when_it_has(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    port = free_port()

    async def main() -> None:
        async with alone("one", f"127.0.0.1:{port}") as one:
            monkeypatch.setattr("colugo.config.StaticDirectory", SlowToOpen)
            async with alone("hub", port=port) as hub:
                await all_know(one, hub)
                assert hub._runtime.endpoint.malformed == 0
        assert "malformed" not in caplog.text

    run(main())


def test_a_chain_is_enough() -> None:
    async def main() -> None:
        async with AsyncExitStack() as stack:
            nodes = [await stack.enter_async_context(alone("n0"))]
            for number in range(1, 8):
                nodes.append(await stack.enter_async_context(alone(f"n{number}", where(nodes[-1]))))
            await all_know(*nodes)

    run(main())


def test_peers_and_mdns_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with alone("hub") as hub:
            monkeypatch.setenv("COLUGO_PEERS", f" {where(hub)} ,")
            monkeypatch.setenv("COLUGO_MDNS", "0")
            async with Node("one") as one:
                await all_know(hub, one)

    run(main())


def test_beside_mdns_every_socket_is_found_once_and_goes_once() -> None:
    async def main() -> None:
        async with Node("one") as one:
            events: list[str] = []
            one.add_subscriber(
                "t", print, lambda: events.append("up"), on_disconnect=lambda: events.append("down")
            )
            async with Node("two", peers=[where(one)]) as two:
                await all_know(one, two)
                publisher = two.add_publisher("t")
                await publisher.ready()
                combined: Any = two._runtime._directory
                await until(combined._directories[1]._exchange.linked_nodes)
                assert [a.topic for a in one.advertisements] == ["t"]
            await until(lambda: names(one) == ["one"] and one.advertisements == [])
            assert events == ["up", "down"]

    run(main())


def test_a_node_with_mdns_only_is_linked_to_by_others_that_have_none() -> None:
    async def main() -> None:
        async with Node("mdns") as found, alone("static", where(found)) as other, Node("second") as second:
            # the first one has a link beyond mDNS and says so; the second one hears of it and links to it
            await all_know(found, other, second)

    run(main())


def test_what_is_added_and_taken_back_is_known_by_all() -> None:
    async def main() -> None:
        async with alone("hub") as hub, alone("one", where(hub)) as one, alone("two", where(hub)) as two:
            await all_know(hub, one, two)
            publisher = one.add_publisher("t")
            await until(lambda: [a.topic for a in two.advertisements] == ["t"])
            publisher.close()
            await until(lambda: two.advertisements == [])

    run(main())


def test_who_stops_is_gone_at_once() -> None:
    async def main() -> None:
        async with alone("hub") as hub, alone("one", where(hub)) as one:
            async with alone("two", where(hub)) as two:
                await all_know(hub, one, two)
            await all_know(hub, one, within=2)

    run(main())


def test_when_the_common_peer_goes_the_others_stay_together() -> None:
    async def main() -> None:
        async with AsyncExitStack() as stack:
            hub = await alone("hub").__aenter__()
            others = [await stack.enter_async_context(alone(f"n{n}", where(hub))) for n in range(4)]
            await all_know(hub, *others)
            await hub.aclose()
            await all_know(*others)
            others[0].add_publisher("t")
            await until(lambda: all([a.topic for a in node.advertisements] == ["t"] for node in others))

    run(main())


# --- deaths


def test_a_killed_node_is_gone_everywhere_within_5_s_and_its_restart_is_found(realm: str) -> None:
    port = free_port()
    with start("hub", realm, port) as hub, start("one", realm, free_port(), port) as one:
        with start("two", realm, free_port(), port) as two:
            for program in (hub, one, two):
                program.expect("nodes hub one two .")
            two.kill()
            for program in (hub, one):
                program.expect("nodes hub one .", within=5)
        with start("two", realm, free_port(), port) as two:
            for program in (hub, one, two):
                program.expect("nodes hub one two .", within=5)


def test_a_killed_common_peer_is_gone_within_5_s_and_its_restart_joins_all_again(realm: str) -> None:
    port = free_port()
    with start("one", realm, free_port(), port) as one, start("two", realm, free_port(), port) as two:
        with start("hub", realm, port) as hub:
            for program in (hub, one, two):
                program.expect("nodes hub one two .")
            hub.kill()
            for program in (one, two):
                program.expect("nodes one two .", within=5)
        with start("hub", realm, port) as hub:
            for program in (hub, one, two):
                program.expect("nodes hub one two .")


@pytest.mark.slow
def test_a_node_that_is_held_for_a_while_comes_back(realm: str) -> None:
    port = free_port()
    with start("hub", realm, port) as hub, start("one", realm, free_port(), port) as one:
        for program in (hub, one):
            program.expect("nodes hub one .")
        one.signal(signal.SIGSTOP)
        hub.expect("nodes hub .", within=15)
        one.signal(signal.SIGCONT)
        hub.expect("nodes hub one .")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_after_kills_at_random_times_everyone_knows_those_who_live(realm: str) -> None:
    chance = random.Random(11)
    ports = [free_port() for _ in range(5)]

    def program(number: int) -> Program:
        return start(f"n{number}", realm, ports[number], ports[(number + 1) % 5], ports[(number + 2) % 5])

    programs = [program(number) for number in range(5)]
    try:
        everyone = "nodes n0 n1 n2 n3 n4 ."
        for one in programs:
            one.expect(everyone)
        for _ in range(15):
            number = chance.randrange(5)
            programs[number].kill()
            programs[number].__exit__(None, None, None)
            rest = " ".join(["nodes", *(f"n{n}" for n in range(5) if n != number), "."])
            for n, one in enumerate(programs):
                if n != number:
                    one.expect(rest, within=5)
            programs[number] = program(number)
            for one in programs:
                one.expect(everyone)
    finally:
        for one in programs:
            one.__exit__(None, None, None)


# --- peers that are none


def test_a_peer_that_is_the_node_itself_is_noticed_and_left() -> None:
    port = free_port()

    async def main() -> None:
        async with alone("one", f"127.0.0.1:{port}", port=port) as one:
            static: Any = one._runtime._directory
            (link,) = static._exchange._outgoing
            await until(lambda: link.is_self)
            await until(link._task.done)
            async with alone("two", where(one)) as two:
                await all_know(one, two)

    run(main())


def test_a_node_of_another_realm_is_refused_and_both_sides_say_so_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        async with (
            alone("ours", realm="ours") as ours,
            alone("theirs", where(ours), realm="theirs") as theirs,
        ):
            await until(lambda: "refuses the link: its realm is 'ours', not 'theirs'" in caplog.text)
            assert caplog.text.count("refuses the link") == 1
            assert caplog.text.count("refused node 'theirs', which has this one as its peer") == 1
            assert (names(ours), names(theirs)) == (["ours"], ["theirs"])

    run(main())


@pytest.mark.slow
def test_a_name_that_is_not_known_is_said_once_and_tried_again(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    known: list[str] = []
    asked: list[str] = []

    def look_up(host: str, port: Any, **kwargs: Any) -> list[Any]:
        asked.append(host)
        if not known:
            raise socket.gaierror(socket.EAI_NONAME, "not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, 0)) for one in known]

    monkeypatch.setattr("colugo.net.discovery.static_peers.socket.getaddrinfo", look_up)

    async def main() -> None:
        async with alone("hub") as hub, alone("one", f"localhost:{port_of(hub)}") as one:
            await until(lambda: len(asked) >= 2)
            assert caplog.text.count("has no address that this node can use") == 1
            assert names(one) == ["one"]
            known.append("127.0.0.1")
            await all_know(hub, one)

    run(main())


def test_in_scope_host_a_peer_elsewhere_is_not_even_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("a name server was asked")

    monkeypatch.setattr("colugo.net.discovery.static_peers.socket.getaddrinfo", forbidden)

    async def main() -> None:
        for peer in ("192.0.2.7:1", "server.example:1", "[2001:db8::1]:1"):
            (found,) = check_peers([peer], "peers=")
            assert await found.endpoints(HOST) == []
        (near,) = check_peers(["127.0.0.1:5"], "peers=")
        assert await near.endpoints(HOST) == ["tcp://127.0.0.1:5"]

    run(main())


def test_this_host_by_its_loopback_address_is_met_in_any_scope() -> None:
    lan = Scope("lan", ("192.0.2.1", "fe80::1%br-lan.7"))

    async def main() -> None:
        (here,) = check_peers(["127.0.0.1:5"], "peers=")
        assert await here.endpoints(lan) == [
            "tcp://127.0.0.1:5",
            "tcp://192.0.2.1:5",
            "tcp://[fe80::1%br-lan.7]:5",
        ]
        (there,) = check_peers(["192.0.2.7:5"], "peers=")
        assert await there.endpoints(lan) == ["tcp://192.0.2.7:5"]

    run(main())


@pytest.mark.slow
def test_a_peer_that_does_not_answer_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with alone("one", f"127.0.0.1:{free_port()}"):
            await until(lambda: "does not answer; retrying" in caplog.text, 15)
            assert caplog.text.count("does not answer") == 1

    run(main())


def test_a_peer_that_is_something_else_is_no_harm(caplog: pytest.LogCaptureFixture) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()

    async def main() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with alone("hub") as hub, alone("one", f"127.0.0.1:{port}", where(hub)) as one:
            await all_know(hub, one)
        server.close()

    run(main())


# --- what is refused

WRONG = ["", "host", "host:", ":5", "host:0", "host:65536", "tcp://host:5", "1.2.3:5", "1.2.3.400:5"]
WRONG += ["::1:5", "[::1]", "[::g]:5", "a b:5", "a..b:5", "host:5:6", "host:٣", f"{'a' * 254}:5"]


@pytest.mark.parametrize("text", WRONG)
def test_what_is_no_peer_is_refused_by_its_name(text: str) -> None:
    with pytest.raises(ConfigurationError, match="peers=") as error:
        Node("one", peers=[text])
    assert text in str(error.value)


def test_what_is_no_list_of_peers_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="peers= takes a list of host:port, not the str"):
        Node("one", peers="127.0.0.1:5")
    with pytest.raises(ConfigurationError, match=r"peers= takes host:port, .* not 5"):
        Node("one", peers=[5])  # type: ignore[list-item]
    monkeypatch.setenv("COLUGO_PEERS", "127.0.0.1:5,nonsense")
    with pytest.raises(ConfigurationError, match=r"COLUGO_PEERS takes host:port, .* not 'nonsense'"):
        Node("one")


def test_peers_are_addresses_and_names() -> None:
    texts = ["192.0.2.7:1", "[fe80::7%br-lan.7]:2", "server.example:3", "my_server-1:4", "192.0.2.7:1"]
    assert check_peers(texts, "peers=") == [
        StaticPeer("192.0.2.7", 1),
        StaticPeer("fe80::7%br-lan.7", 2),
        StaticPeer("server.example", 3),
        StaticPeer("my_server-1", 4),
    ]
    assert [str(one) for one in check_peers(texts[:2], "peers=")] == texts[:2]
    assert check_peers([], "peers=") == []


def test_the_log_says_how_others_are_found(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    async def main() -> None:
        async with alone("one"), alone("two", "127.0.0.1:5"), Node("three", peers=["127.0.0.1:5"]):
            pass

    run(main())
    assert "; without mDNS, only nodes that link to this one are found" in caplog.text
    assert "; without mDNS, peers 127.0.0.1:5" in caplog.text
    assert caplog.text.count("; peers 127.0.0.1:5") == 1


# --- strangers on the endpoint

ID = "1" * 32


def greeting(realm: str) -> bytes:
    return encode_control(FrameKind.GREETING, Greeting(ID, "stranger", realm))


def test_garbage_on_a_link_harms_nobody(realm: str) -> None:
    chance = random.Random(3)
    header = bytes([MAGIC, 0, VERSION, FrameKind.ENTRIES])
    bad_sockets = [{"txt": {"v": "2", "t": "x" * 250}, "addresses": ["nowhere"], "port": 5}]

    async def main() -> None:
        async with alone("hub") as hub, stranger(hub) as dealer, alone("one", where(hub)) as one:
            await all_know(hub, one)
            await dealer.send(greeting(realm))
            assert (await dealer.recv())[3] == FrameKind.GREETING
            for _ in range(300):
                await dealer.send(header + os.urandom(chance.randrange(200)))
            await dealer.send(header + b"[" * 100_000)
            bad = {"node": ID, "beat": 1, "revision": 1, "sockets": bad_sockets}
            await dealer.send(encode_control(FrameKind.ENTRIES, {"entries": [bad]}))
            gone = NodeEntry(one.uuid.hex, 2**40, 1, gone=True)  # there is nothing beyond the largest beat
            await dealer.send(encode_control(FrameKind.ENTRIES, NodeEntries([gone])))
            await until(lambda: hub._runtime.endpoint.malformed >= 290)
            publisher = one.add_publisher("t")
            await until(lambda: [a.topic for a in hub.advertisements] == ["t"])
            assert not publisher.closed
            await until(lambda: names(hub) == ["hub", "one"])

    run(main())


def test_who_sends_entries_without_a_greeting_is_told_to_greet(realm: str) -> None:
    async def main() -> None:
        async with alone("hub") as hub, stranger(hub) as dealer:
            await dealer.send(encode_control(FrameKind.ENTRIES, NodeEntries()))
            answer = await dealer.recv()
            assert answer[3] == FrameKind.REFUSAL
            assert b'"again":true' in answer

    run(main())


@pytest.mark.slow
def test_a_link_that_falls_silent_ends() -> None:
    async def main() -> None:
        realm = new_realm()
        async with alone("hub", realm=realm) as hub, stranger(hub) as dealer:
            await dealer.send(greeting(realm))
            static: Any = hub._runtime._directory
            await until(lambda: static._exchange.linked_nodes() == {ID})
            await until(lambda: static._exchange.linked_nodes() == set())

    run(main())


@pytest.mark.slow
def test_what_a_full_queue_did_not_take_is_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with alone("hub") as hub, alone("two", where(hub)) as two:
            await all_know(hub, two)
            endpoint = hub._runtime.endpoint
            send = endpoint.send
            refused = 0

            def full(identity: bytes, frame: bytes) -> int:
                nonlocal refused
                if frame[3] == FrameKind.ENTRIES and len(frame) > 100:
                    refused += 1
                    return errno.EAGAIN
                return send(identity, frame)

            with monkeypatch.context() as patch:
                patch.setattr(endpoint, "send", full)
                hub.add_publisher("t")
                await until(lambda: refused >= 2)
                assert two.advertisements == []
            await until(lambda: [a.topic for a in two.advertisements] == ["t"])

    run(main())


@pytest.mark.slow
def test_idle_links_take_hardly_any_time() -> None:
    """Links tick once a second in both directions; a thousand turns of the loop would be far too many."""

    async def main() -> None:
        async with AsyncExitStack() as stack:
            hub = await stack.enter_async_context(alone("hub"))
            nodes = [await stack.enter_async_context(alone(f"n{n}", where(hub))) for n in range(4)]
            await all_know(hub, *nodes)
            sent = 0
            send = hub._runtime.endpoint.send

            def count(identity: bytes, frame: bytes) -> int:
                nonlocal sent
                sent += 1
                return send(identity, frame)

            static: Any = hub._runtime._directory
            static._exchange._endpoint = type("Counting", (), {"send": staticmethod(count)})()
            await asyncio.sleep(3)
            assert 4 <= sent <= 60

    run(main())
