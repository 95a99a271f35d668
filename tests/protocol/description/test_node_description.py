"""Descriptions of nodes: complete, the same after JSON, and refused if they are invalid."""

import json
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from colugo import DecodeError, Node
from colugo.net.node_endpoint import ask
from colugo.protocol.description.node_description import (
    DESCRIBE,
    NodeDescription,
    from_plain,
    to_plain,
)
from colugo.protocol.description.socket_descriptions import PartDescription
from colugo.protocol.description.stream_descriptions import (
    ConsumerDescription,
    GroupDescription,
    StreamDescription,
)
from colugo.testing import Network
from tests.support.essentials import Collector, new_realm, run, until

MINIMAL: dict[str, Any] = {"name": "a", "uuid": "00"}


async def asked(node: Node, of: Node) -> NodeDescription:
    """Ask one node for its description from another."""
    where = next(one for one in node.nodes if one.node == of.name).endpoints[0]
    return from_plain(await ask(node._runtime.sockets, where, DESCRIBE, 5000))


def test_a_node_tells_its_sockets_and_whom_they_are_connected_to() -> None:
    async def main() -> None:
        async with Node("a") as a, Node("b") as b:
            publisher = a.add_publisher("t", codec="json")
            heard = Collector()
            subscriber = b.add_subscriber("t", heard, codec="json")
            b.add_subscriber("other.#")
            a.add_reply_server("r", lambda message: message)
            client = b.add_request_client("r")
            await subscriber.ready()
            await publisher.ready()
            await client.request("x")
            publisher.send([1])
            await heard.reach(1)
            told_a, told_b = await asked(b, a), await asked(a, b)
            assert (told_a.name, told_a.uuid, told_a.realm) == ("a", a.uuid.hex, a.realm)
            assert (told_a.scope, told_a.addresses) == ("host", ["127.0.0.1"])
            (published,) = told_a.publishers
            assert (published.topic, published.codec, published.sent) == ("t", "json", 1)
            assert published.endpoints == publisher.endpoints
            wanted, other = told_b.subscribers
            assert [reader.reader for reader in published.readers] == [wanted.reader]
            (link,) = wanted.links
            assert (link.socket_id, link.node, link.connected) == (published.socket_id, "a", True)
            assert (link.received, link.lost, link.undecodable) == (1, 0, 0)
            assert (other.topic, other.links, other.queue_limit) == ("other.#", [], 1000)
            assert (told_a.reply_servers[0].requests, told_b.request_clients[0].replies) == (1, 1)
            assert told_b.request_clients[0].links[0].connected
            assert {one.kind for one in told_b.known} == {"pub", "rep", "node"}

    run(main())


class Told:
    """A part of a node that says something of itself and is nothing else."""

    def __init__(self, description: PartDescription) -> None:
        self._description = description

    def describe(self) -> PartDescription:
        return self._description

    def close_now(self) -> None:
        """Nothing to close."""

    def quiesce(self) -> None:
        """Nothing to end."""

    async def finish(self) -> None:
        """Nothing to wait for."""


def test_streams_and_consumers_are_told() -> None:
    group = GroupDescription("billing", members=1, waiting=3, in_flight=2, acknowledged=7)
    stream = StreamDescription("orders", "0102", "json", store="orders.db", messages=5, groups=[group])
    consumer = ConsumerDescription("orders", "billing", ["*.new"], prefetch=100, received=7)

    async def main() -> None:
        async with Node("a") as a, Node("b") as b:
            await until(lambda: {one.node for one in b.nodes} == {"a", "b"})
            for part in (stream, consumer):
                a._runtime.parts[Told(part)] = None
            told = await asked(b, a)
            assert (told.streams, told.consumers) == ([stream], [consumer])
            assert (told.bound, told.connecting, told.parts) == ([stream], [consumer], [stream, consumer])
            assert told.streams[0].members == 1

    run(main())


def test_what_does_not_decode_is_told_of_the_publisher_that_sent_it() -> None:
    async def main() -> None:
        async with Node("a") as a, Node("b") as b:
            publisher = a.add_publisher("t")
            subscriber = b.add_subscriber("t", print, codec="json")
            await subscriber.ready()
            await publisher.ready()
            publisher.send("no json")
            publisher.send("nor this")
            await until(lambda: subscriber.stats.undecodable == 2)
            (link,) = (await asked(a, b)).subscribers[0].links
            assert link.undecodable == 2
            assert "not json" in link.last_error

    run(main())


def test_a_reader_that_is_behind_and_a_queue_that_is_full_are_told() -> None:
    async def main() -> None:
        async with Node("a") as a, Node("b") as b:
            publisher = a.add_publisher("t")
            subscriber = b.add_subscriber("t", queue=3)
            await subscriber.ready()
            await publisher.ready()
            for _ in range(10):
                publisher.send("x")
            await until(lambda: subscriber.stats.received == 10)
            (told,) = (await asked(a, b)).subscribers
            assert (told.queue, told.queue_limit, told.dropped) == (3, 3, 7)

    run(main())


def test_sockets_of_other_realms_are_counted() -> None:
    async def main() -> None:
        network = Network()  # others of this host are heard by mDNS, and would be counted
        async with network.node("a") as a, network.node("b") as b, network.node("c", realm=new_realm()) as c:
            socket = c.add_publisher("t")
            await until(lambda: len(a.nodes) == 2 and a._runtime.registry.foreign == 2)
            assert (await asked(b, a)).other_realms == 2
            socket.close()
            await until(lambda: a._runtime.registry.foreign == 1)

    run(main())


def test_a_socket_of_another_realm_is_heard_of_by_mdns_until_it_closes() -> None:
    async def main() -> None:
        async with Node("a") as a, Node("b") as b, Node("c", realm=new_realm()) as c:
            socket = c.add_publisher("t")
            heard = a._runtime.registry._foreign
            mine = {one.socket_id for one in (*c.nodes, *c.advertisements)}
            await until(lambda: len(a.nodes) == 2 and mine <= heard)
            assert len(mine) == 2
            assert (await asked(b, a)).other_realms >= 2
            socket.close()
            await until(lambda: len(mine & heard) == 1)

    run(main())


def test_a_description_goes_to_json_and_back() -> None:
    description = msgspec.convert(
        {**MINIMAL, "ignored": {"x": "y"}, "peers": [{"address": "h:1", "state": "up"}]}, NodeDescription
    )
    assert from_plain(json.loads(json.dumps(to_plain(description)))) == description


def test_what_a_newer_node_adds_is_passed_over() -> None:
    assert from_plain({**MINIMAL, "mood": "fine"}).name == "a"


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        [],
        {},
        {"name": "a"},
        {**MINIMAL, "name": ""},
        {**MINIMAL, "name": "a\x1b[2J"},
        {**MINIMAL, "realm": "no realm"},
        {**MINIMAL, "pid": "1"},
        {**MINIMAL, "subscribers": [{"topic": "a.*b"}]},
        {**MINIMAL, "publishers": [{"topic": "t.*", "socket_id": "0"}]},
        {**MINIMAL, "streams": [{"topic": "t.*", "socket_id": "0"}]},
        {**MINIMAL, "streams": [{"topic": "t", "socket_id": "0", "groups": [{}]}]},
        {**MINIMAL, "consumers": [{"topic": "t.#"}]},
        {**MINIMAL, "consumers": [{"topic": "t", "bindings": "#"}]},
        {**MINIMAL, "known": [{"socket_id": "0"}]},
        {
            **MINIMAL,
            "known": [
                {
                    "socket_id": "0",
                    "kind": "pub",
                    "topic": "t",
                    "node": "n",
                    "node_id": "1",
                    "addresses": ["x"],
                    "port": 1,
                }
            ],
        },
    ],
)
def test_what_is_no_description_is_refused(wrong: object) -> None:
    with pytest.raises(DecodeError, match="not a description"):
        from_plain(wrong)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.sampled_from(NodeDescription.__struct_fields__), inner)
    ),
)


@given(JSON)
def test_nothing_else_than_a_refusal_comes_of_what_strangers_say(data: object) -> None:
    with suppress(DecodeError):
        from_plain(data)
