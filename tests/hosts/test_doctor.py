"""`colugo doctor` and `colugo why` on test hosts, with healthy networks and staged faults."""

import json
from typing import Any

import pytest

from tests.support.avahi import avahi_on, require_avahi
from tests.support.commands import Result, Site, output_of
from tests.support.essentials import wait_until
from tests.support.namespaces import Host, Hosts, require_namespaces

pytestmark = pytest.mark.slow

T = "lab.temperature"
PUBLISH: dict[str, Any] = {"publish": {T: {}}}
SUBSCRIBE: dict[str, Any] = {"subscribe": {T: {}}}
PLAIN = """
import zmq
publisher = zmq.Context().socket(zmq.PUB)
publisher.bind("tcp://*:7777")
print("bound", flush=True)
input()
"""
ALONE: dict[str, Any] = {"publish": {T: {"wait": False}}}


def assert_well(site: Site, *hosts: Host, topic: str = T) -> None:
    for host in hosts:
        result = site.doctor(host)
        assert (result.status, result.bad()) == (0, []), str(result)
        result = site.why(host, topic)
        assert (result.status, result.bad()) == (0, []), str(result)


# --- healthy networks


@pytest.mark.parametrize("count", [1, 2, 5])
def test_nothing_is_wrong_with_hosts_on_one_network(count: int) -> None:
    require_namespaces()
    with Hosts(count) as hosts, Site() as site:
        for number, host in enumerate(hosts):
            others: dict[str, Any] = {f"from.{other}": {} for other in range(count)}
            site.party(
                host,
                f"n{number}",
                publish={f"from.{number}": {}},
                subscribe=others,
                serve=[f"ask.{number}"],
                request=[f"ask.{(number + 1) % count}"],
            )
        site.settle()
        assert_well(site, hosts[0], hosts[-1], topic="#")


def test_nothing_is_wrong_with_two_interfaces() -> None:
    require_namespaces()
    with Hosts(2, interfaces=2) as (one, two), Site() as site:
        site.party(one, "a", **PUBLISH)
        site.party(two, "b", **SUBSCRIBE)
        site.settle()
        assert_well(site, one, two)


def test_nothing_is_wrong_if_one_host_is_on_one_of_the_others_two_networks() -> None:
    require_namespaces()
    with Hosts(2, interfaces=2) as (one, two), Site() as site:
        two.link_down("eth1")
        site.party(one, "a", **PUBLISH)
        site.party(two, "b", **SUBSCRIBE)
        site.settle()
        assert_well(site, one, two)


def test_nothing_is_wrong_with_ipv6() -> None:
    require_namespaces()
    with Hosts(2, ipv6=True) as (one, two), Site() as site:
        site.party(one, "a", **PUBLISH)
        site.party(two, "b", **SUBSCRIBE)
        site.settle()
        assert_well(site, one, two)


def test_nothing_is_wrong_beside_avahi() -> None:
    require_namespaces()
    require_avahi()
    with Hosts(2) as (one, two), Site() as site, avahi_on(one):
        site.party(one, "a", **PUBLISH)
        site.party(two, "b", **SUBSCRIBE)
        site.settle()
        holder = "avahi-daemon"
        assert wait_until(lambda: holder in str(site.doctor(one)))
        assert_well(site, one, two)


def test_nothing_is_wrong_with_nodes_of_one_machine_in_scope_host() -> None:
    require_namespaces()
    with Hosts(1) as (one,), Site() as site:
        site.party(one, "a", scope="host", **PUBLISH)
        site.party(one, "b", scope="host", **SUBSCRIBE)
        site.settle()
        assert_well(site, one)


def test_nothing_is_wrong_with_several_realms() -> None:
    require_namespaces()
    with Hosts(2) as (one, two), Site() as site:
        for realm in (site.realm, "other", "third"):
            site.party(one, "a", realm=realm, **PUBLISH)
            site.party(two, "b", realm=realm, **SUBSCRIBE)
        site.settle()
        assert_well(site, one, two)


def test_nothing_is_wrong_without_mdns_where_one_peer_is_given() -> None:
    require_namespaces()
    static = {"COLUGO_MDNS": "0", "COLUGO_PEERS": "10.77.0.1:4711"}
    with Hosts(3) as (one, two, three), Site() as site:
        site.party(one, "hub", env={"COLUGO_MDNS": "0", "COLUGO_PORT": "4711"})
        site.party(two, "a", env=static, **PUBLISH)
        site.party(three, "b", env=static, **SUBSCRIBE)
        site.settle()
        # it is bound on the network's address only; this host is meant all the same
        result = site.doctor(one, env={"COLUGO_PEERS": "127.0.0.1:4711"})
        assert (result.status, result.bad()) == (0, []), str(result)
        for host in (one, two):
            result = site.doctor(host, env=static)
            assert (result.status, result.bad()) == (0, []), str(result)
            assert any("3 nodes described" in each["text"] for each in result.findings), str(result)
            result = site.why(host, T, env=static)
            assert (result.status, result.bad()) == (0, []), str(result)


def test_nothing_is_wrong_with_publishers_given_by_their_address() -> None:
    require_namespaces()
    with Hosts(2) as (one, two), Site() as site:
        site.party(one, "a", publish={T: {}}, subscribe={T: {}})
        site.settle()
        with two.program(["-c", PLAIN], realm=site.realm, told=True) as publisher:
            publisher.expect("bound")
            site.party(one, "b", subscribe={"plain": {"connect": [f"tcp://{two.address}:7777"]}})
            site.settle()
            assert_well(site, one, two, topic="#")


def test_nothing_is_wrong_with_many_sockets() -> None:
    require_namespaces()
    topics = [f"t{number}" for number in range(60)]
    with Hosts(2) as (one, two), Site() as site:
        for host, name in ((one, "a"), (two, "b")):
            site.party(
                host,
                name,
                publish={f"{t}.{name}": {"every_ms": 1000} for t in topics},
                subscribe={"#": {}},
                peers=1,
            )
        site.settle()
        assert_well(site, one, two, topic="#")


def test_nothing_is_wrong_under_busy_traffic() -> None:
    require_namespaces()
    busy = {T: {"every_ms": 10, "at_once": 20}}
    with Hosts(2) as (one, two), Site() as site:
        site.party(one, "a", publish=busy, serve=["ask"])
        site.party(two, "b", subscribe={T: {}}, request=["ask"])
        site.settle()
        assert_well(site, one, two)


# --- staged faults


def staged(site: Site, host: Host, *words: str, hosts: tuple[str, ...] = (), level: str = "wrong") -> Result:
    """Return the results of both commands, which must name the fault."""
    result = site.doctor(host, *hosts)
    assert result.named(*words)["level"] == level, str(result)
    assert result.status == (1 if level == "wrong" else 0), str(result)
    return result


def explained(site: Site, host: Host, *words: str) -> Result:
    """Return the result of `why` for the topic, which must name the fault."""
    result = site.why(host, T)
    result.named(*words)
    assert result.status == 1, str(result)
    return result


def test_a_wrong_realm_is_named() -> None:
    require_namespaces()
    with Hosts(2) as (one, two), Site() as site:
        site.party(one, "a", realm="left", **PUBLISH)
        site.party(two, "b", realm="right", **SUBSCRIBE)
        for host in (one, two):
            words = ("node b's subscriber of lab.temperature is in realm right", "node a in realm left")
            staged(site, host, *words)
            explained(site, host, *words)


def test_a_mismatch_of_codecs_is_named() -> None:
    require_namespaces()
    with Hosts(2) as (one, two), Site() as site:
        site.party(one, "a", publish={T: {"codec": "protobuf"}})
        site.party(two, "b", subscribe={T: {"codec": "json"}})
        site.settle()
        words = (
            "node b's subscriber of lab.temperature expects json",
            "node a publishes protobuf lab.Temperature",
        )
        staged(site, one, *words)
        explained(site, two, *words)


def test_a_firewall_that_drops_the_ports_is_named() -> None:
    require_namespaces()
    with Hosts(2) as (one, two), Site() as site:
        drop(two, "tcp dport != 22")
        site.party(two, "a", **PUBLISH)
        site.party(one, "b", **SUBSCRIBE)
        assert wait_until(lambda: "lab.temperature" in str(site.why(one, T)))
        found = staged(site, one, "node a (10.77.0.2) was discovered", "packets are dropped")
        assert "firewall" in found.named("packets are dropped")["advice"]
        assert "firewall" in explained(site, one, "packets are dropped").bad()[0]["advice"]


def test_a_network_that_carries_no_multicast_is_named() -> None:
    require_namespaces()
    with Hosts(2) as (one, two), Site() as site:
        drop(one, f"ip saddr {two.address} ip daddr 224.0.0.251")
        drop(two, f"ip saddr {one.address} ip daddr 224.0.0.251")
        site.party(one, "a", **PUBLISH)
        site.party(two, "b", **SUBSCRIBE)
        words = (two.address, "multicast does not get through")
        staged(site, one, *words, hosts=(two.address,))
        # now they are neighbours that need not be named any more
        staged(site, one, *words)
        explained(site, one, *words)


def test_a_firewall_of_this_machine_that_drops_multicast_is_named() -> None:
    require_namespaces()
    with Hosts(1) as (one,), Site() as site:
        drop(one, "udp dport 5353 iifname eth0")
        site.party(one, "b", **SUBSCRIBE)
        found = staged(site, one, "eth0 10.77.0.1", "did not come back")
        assert "UDP port 5353" in found.named("did not come back")["advice"]
        explained(site, one, "did not come back")


def test_a_stale_record_is_named() -> None:
    require_namespaces()
    with Hosts(2) as (one, two), Site() as site:
        site.party(one, "b", **SUBSCRIBE)
        site.record(two, topic=T, address=two.address, port=9999)
        staged(site, one, "node ghost (10.77.0.2)", "(port 9999)", "nothing listens there", "stale record")
        explained(site, one, "node ghost", "nothing listens there")


def test_a_dead_address_is_named() -> None:
    require_namespaces()
    with Hosts(2) as (one, two), Site() as site:
        site.party(one, "b", **SUBSCRIBE)
        site.record(two, topic=T, address="10.77.0.99", port=9999)
        staged(site, one, "dead address", "node ghost (10.77.0.99)", "no machine")
        explained(site, one, "node ghost", "no machine has")


def test_scope_host_on_one_side_is_named() -> None:
    require_namespaces()
    with Hosts(2) as (one, two), Site() as site:
        site.party(one, "a", scope="host", **ALONE)
        site.party(one, "b", **SUBSCRIBE)
        site.party(two, "c", **SUBSCRIBE)
        for name in ("b", "c"):
            words = (
                f"node {name}'s subscriber",
                "has not discovered node a's publisher",
                "node a is in scope host",
            )
            staged(site, one, *words)
            explained(site, one, *words)
        # from the other machine, nobody can know more
        result = site.why(two, T)
        assert "scope host" in result.named("node c's subscriber", "has no publisher")["advice"]


def test_a_mismatch_of_versions_is_named() -> None:
    require_namespaces()
    with Hosts(2) as (one, two), Site() as site:
        site.party(one, "b", **SUBSCRIBE)
        site.record(two, topic=T, address=two.address, port=9999, txt={"v": "9"})
        words = ("lab-temperature", "another version", "'9'")
        staged(site, one, *words)
        explained(site, one, *words)


def test_a_full_queue_is_named() -> None:
    require_namespaces()
    with Hosts(2) as (one, two), Site() as site:
        site.party(one, "a", publish={T: {"every_ms": 5}})
        site.party(two, "b", subscribe={T: {"slow": True, "queue": 10}})
        site.settle()
        assert wait_until(lambda: "queue is full" in str(site.why(one, T)))
        words = ("connected", "messages lost", "node b's queue is full (slow callback")
        staged(site, one, *words)
        explained(site, two, *words)


def test_a_missing_subscriber_is_named() -> None:
    require_namespaces()
    with Hosts(2) as (one, two), Site() as site:
        site.party(one, "a", **ALONE)
        site.party(two, "b", subscribe={"lab.temperatur": {}})
        for host in (one, two):
            staged(site, host, "no subscriber", "lab.temperature of node a", level="warning")
            result = staged(site, host, "node b's subscriber of lab.temperatur", level="warning")
            assert "lab.temperature" in result.named("node b's subscriber")["text"]
            explained(site, host, "node a's publisher of lab.temperature has no subscriber")


def drop(host: Host, what: str) -> None:
    """Drop incoming packets, except on loopback."""
    host.run("nft", "add table ip fault")
    host.run("nft", "add chain ip fault in { type filter hook input priority 0; }")
    host.run("nft", f"add rule ip fault in iifname != lo {what} drop")


# --- nodes


def test_nodes_lists_who_is_there_and_who_does_not_answer() -> None:
    require_namespaces()
    with Hosts(2) as (one, two), Site() as site:
        site.party(one, "a", **PUBLISH)
        site.party(two, "b", **SUBSCRIBE)
        site.party(two, "c", realm="other", **ALONE)
        site.record(two, topic=T, address=two.address, port=9999)
        status, text = output_of(one, "nodes", "--json", realm=site.realm)
        rows = {row["node"]: row for row in json.loads(text)}
        assert status == 1
        assert set(rows) == {"a", "b", "ghost"}
        assert (rows["b"]["addresses"], rows["b"]["sockets"], rows["b"]["answers"]) == (
            [two.address],
            1,
            True,
        )
        assert rows["ghost"]["answers"] is False
        status, text = output_of(one, "nodes", "--all-realms", realm=site.realm)
        assert "does not answer" in next(line for line in text.splitlines() if "ghost" in line)
        assert any(line.startswith("c ") and "other" in line for line in text.splitlines()), text
        status, text = output_of(one, "nodes", "--realm", "other", realm=site.realm)
        assert status == 0
        assert "3 nodes in other realms: use --all-realms to list them." in text
