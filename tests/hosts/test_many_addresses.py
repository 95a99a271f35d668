"""Hosts with several addresses, dead ones among them, of IPv4 and IPv6; and addresses that change."""

import time
from collections.abc import Iterable

import pytest

from tests.support.namespaces import Host, Hosts, require_namespaces
from tests.support.peers import Peer, in_mesh, meshed, settle, timely

CONNECTED_S = 1.0
FOUND_AGAIN_S = 5.0


def received(peer: Peer, other: Peer) -> int:
    """Return the number of messages received from the other node."""
    stream = peer.count()["streams"].get(other.name)
    return int(stream["received"]) if stream else 0


def talk(*peers: Peer) -> None:
    """Check that all nodes receive new messages from each other, and clients replies of all servers."""
    for peer in peers:
        peer.send(20)
        peer.ask(20)
    for peer in peers:
        for other in peers:
            before = received(peer, other)
            peer.count_until(lambda _: received(peer, other) > before + 5)  # noqa: B023 - called at once
        before = peer.count_until(lambda counted: counted["client"]["servers"] == len(peers))["client"][
            "replies"
        ]
        peer.count_until(lambda counted: counted["client"]["replies"] > before + 5)  # noqa: B023 - as above


def connected_after(peer: Peer, other: Peer) -> float:
    """Return the time from the other node's start until its publisher and server were connected."""
    began = other.wait("started")["t"]
    times = [peer.wait("connected", kind=kind, peer=other.name)["t"] - began for kind in ("pub", "rep")]
    print(f"{peer.name} was connected with publisher and server of {other.name} after {times} s")
    return float(max(times))


@pytest.mark.slow
@pytest.mark.measures
@pytest.mark.parametrize("live", [0, 3])
def test_of_three_dead_addresses_and_one_live_the_live_one_is_found_in_a_second(live: int) -> None:
    require_namespaces()
    with Hosts(2, cabled=True, interfaces=4) as (one, two):
        for number in range(4):
            if number != live:
                two.cable_of(f"eth{number}").cut()
        with in_mesh(one, "a") as a:
            a.wait("started")
            with in_mesh(two, "b") as b:
                assert timely(connected_after(a, b), CONNECTED_S)
                a.wait("connected", kind="pub", peer="b")
                b.wait("connected", kind="pub", peer="a")
                talk(a, b)


@pytest.mark.slow
@pytest.mark.measures
def test_networks_that_die_are_left_for_others_that_both_hosts_have() -> None:
    require_namespaces()
    with Hosts(2, cabled=True, interfaces=3) as hosts, meshed(hosts) as (a, b):
        for number in (0, 1):
            talk(a, b)
            hosts[1].cable_of(f"eth{number}").cut()
        talk(a, b)
        hosts[1].cable_of("eth0").mend()
        hosts[1].cable_of("eth2").cut()
        talk(a, b)


@pytest.mark.slow
@pytest.mark.measures
@pytest.mark.parametrize("which", ["the one that connects", "the one that is connected to", "both"])
def test_a_host_whose_address_has_changed_is_found_again(which: str) -> None:
    require_namespaces()
    with Hosts(2, cabled=True) as hosts, meshed(hosts) as (a, b):
        talk(a, b)
        since = time.monotonic()
        if which != "the one that connects":
            hosts[0].change_address("10.77.0.101")
        if which != "the one that is connected to":
            hosts[1].change_address("10.77.0.102")
        for peer, other in ((a, "b"), (b, "a")):
            for kind in ("pub", "rep"):
                back = peer.wait("connected", 20, since=since, kind=kind, peer=other)
                print(f"{peer.name} was connected with {kind} of {other} again after {back['t'] - since} s")
                assert timely(back["t"] - since, FOUND_AGAIN_S)
        talk(a, b)
        settle(a, b)
        settle(b, a)


TELL_ADDRESSES = """
import asyncio
from colugo import Node

async def main():
    async with Node("watcher") as node:
        told = None
        while True:
            known = [one.addresses for one in node.advertisements if one.node == "a"]
            if known != told:
                told = known
                print(*known, flush=True)
            await asyncio.sleep(0.01)

asyncio.run(main())
"""


@pytest.mark.slow
@pytest.mark.measures
def test_addresses_that_a_host_has_no_more_are_forgotten(realm: str) -> None:
    require_namespaces()
    with (
        Hosts(2) as (one, two),
        Peer(one, "a", publish="t"),
        two.program(["-c", TELL_ADDRESSES], realm=realm) as watcher,
    ):
        watcher.expect("('10.77.0.1',)")
        for address in ("10.77.0.101", "10.77.0.102"):
            one.change_address(address)
            watcher.expect(f"('{address}',)")


MADE_BEFORE = """
import asyncio
from colugo import Node
node = Node("late")
node.add_publisher("t")
print("made", flush=True)
input()
node.start()
"""


def test_a_node_that_is_started_when_its_host_has_another_address_uses_that(realm: str) -> None:
    require_namespaces()
    with (
        Hosts(2) as (one, two),
        Peer(two, "b", subscribe="t") as b,
        one.program(["-c", MADE_BEFORE], realm=realm, told=True) as late,
    ):
        late.expect("made")
        one.change_address("10.77.0.101")
        late.tell("")
        b.wait("connected", kind="pub", peer="late")


@pytest.mark.slow
@pytest.mark.measures
def test_of_two_interfaces_that_were_chosen_one_is_followed_while_the_other_is_gone() -> None:
    require_namespaces()
    with (
        Hosts(2, interfaces=2) as (one, two),
        in_mesh(two, "b") as b,
        in_mesh(one, "a", scope="eth0,eth1") as a,
    ):
        b.wait("connected", kind="pub", peer="a")
        one.run("ip", "link", "delete", "eth1")
        since = time.monotonic()
        one.change_address("10.77.0.101")
        back = b.wait("connected", 20, since=since, kind="pub", peer="a")
        assert timely(back["t"] - since, FOUND_AGAIN_S)
        talk(a, b)


@pytest.mark.slow
@pytest.mark.measures
def test_a_new_network_is_used_by_nodes_that_run_already() -> None:
    require_namespaces()
    with Hosts(2, cabled=True, interfaces=2) as hosts:
        hosts[0].link_down("eth0")
        hosts[1].link_down("eth1")  # so that they have none in common
        with in_mesh(hosts[0], "a") as a, in_mesh(hosts[1], "b") as b:
            a.wait("connected", kind="pub", peer="a")
            b.wait("connected", kind="pub", peer="b")
            since = time.monotonic()
            hosts[1].link_up("eth1")
            for peer, other in ((a, "b"), (b, "a")):
                back = peer.wait("connected", 20, since=since, kind="pub", peer=other)
                assert timely(back["t"] - since, FOUND_AGAIN_S)
            talk(a, b)


@pytest.mark.slow
@pytest.mark.measures
def test_a_node_that_started_without_any_network_joins_the_one_that_comes() -> None:
    require_namespaces()
    with Hosts(2, cabled=True) as hosts:
        hosts[1].link_down()
        with in_mesh(hosts[0], "a") as a, in_mesh(hosts[1], "b") as b:
            b.wait("connected", kind="pub", peer="b")  # itself
            since = time.monotonic()
            hosts[1].link_up()
            for peer, other in ((a, "b"), (b, "a")):
                back = peer.wait("connected", 20, since=since, kind="pub", peer=other)
                assert timely(back["t"] - since, FOUND_AGAIN_S)
            talk(a, b)
            since = time.monotonic()
            hosts[1].link_down()
            a.wait("disconnected", 20, since=since, kind="pub", peer="b", reason="lost")
            since = time.monotonic()
            hosts[1].link_up()
            for peer, other in ((a, "b"), (b, "a")):
                peer.wait("connected", 20, since=since, kind="pub", peer=other)
            talk(a, b)


def without_ipv4(hosts: Iterable[Host]) -> None:
    for host in hosts:
        host.run("ip", "-4", "address", "flush", "dev", "eth0")


def test_hosts_that_have_only_ipv6_find_each_other_and_talk() -> None:
    require_namespaces()
    with Hosts(2, ipv6=True) as hosts:
        without_ipv4(hosts)
        with meshed(hosts) as peers:
            talk(*peers)


def test_hosts_that_have_only_link_local_addresses_find_each_other_and_talk() -> None:
    require_namespaces()
    with Hosts(2, ipv6=True) as hosts:
        without_ipv4(hosts)
        for host in hosts:
            host.run("ip", "-6", "address", "flush", "dev", "eth0", "scope", "global")
        with meshed(hosts) as peers:
            talk(*peers)


def test_a_host_with_both_and_one_with_ipv6_only_talk_over_ipv6() -> None:
    require_namespaces()
    with Hosts(2, ipv6=True) as hosts:
        without_ipv4(hosts[1:])
        with meshed(hosts) as peers:
            talk(*peers)


@pytest.mark.slow
@pytest.mark.measures
def test_where_ipv4_is_blocked_ipv6_is_taken_and_the_other_way_round() -> None:
    require_namespaces()
    for version in ("ip", "ip6"):
        with Hosts(2, ipv6=True) as hosts:
            for host in hosts:
                host.run("nft", "add", "table", version, "wall")
                host.run("nft", f"add chain {version} wall in {{ type filter hook input priority 0; }}")
                host.run("nft", f"add rule {version} wall in iifname eth0 meta l4proto tcp drop")
            with meshed(hosts) as peers:
                talk(*peers)


STRANGER = """
import socket
server = socket.create_server(("10.77.0.50", 5999))
print("there", flush=True)
while True:
    server.accept()[0].recv(99)
"""


@pytest.mark.slow
@pytest.mark.measures
def test_a_stranger_on_one_of_the_addresses_is_not_taken_for_the_peer(realm: str) -> None:
    """At the peer's address and port, this host reaches another program."""
    require_namespaces()
    with Hosts(3, interfaces=2) as (one, two, other):
        other.run("ip", "address", "add", "10.77.0.50/24", "dev", "eth0")
        two.run("ip", "link", "add", "bridge0", "type", "bridge")
        two.run("ip", "link", "set", "bridge0", "up")
        two.run("ip", "address", "add", "10.77.0.50/32", "dev", "bridge0")
        two.link_down("eth0")
        with (
            other.program(["-c", STRANGER], realm=realm) as stranger,
            Peer(one, "a", subscribe="t") as a,
        ):
            stranger.expect("there")
            with Peer(two, "b", publish="t", port=5999) as b:
                a.wait("connected", kind="pub", peer="b")
                b.send(20)
                a.wait("heard", peer="b")
