"""The candidate addresses of a peer, and the choice among them."""

import asyncio
import errno
import logging
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from colugo.errors import ConfigurationError
from colugo.net.addresses import scope_watch
from colugo.net.addresses.endpoint_choice import EndpointChoice
from colugo.net.addresses.interfaces import Scope, resolve_scope, scope_now
from colugo.net.addresses.ipc import IpcFiles
from colugo.net.addresses.probe import ProbeAnswer, candidates, probe
from colugo.net.addresses.scope_watch import ScopeWatch
from colugo.net.mdns.query import mdns_addresses
from colugo.net.transport.tasks import Tasks
from colugo.protocol.advertisement import Advertisement, SocketKind
from tests.support.essentials import Collector, run


def peer_at(
    *addresses: str, host: str = "other", port: int = 40000, socket_id: bytes = bytes(8)
) -> Advertisement:
    return Advertisement(
        socket_id, SocketKind.PUBLISHER, "t", "n", bytes(16), host_id=host, addresses=addresses, port=port
    )


MINE = Scope("lan", ("192.168.1.6", "172.17.0.1", "fd00::6", "fe80::6%eth0", "fe80::7%wlan0"))


def test_an_address_of_a_bridge_that_every_host_has_is_that_of_a_peer_on_this_host_only() -> None:
    addresses = ("172.17.0.1", "192.168.1.5")
    assert candidates(peer_at(*addresses), MINE, "me") == ["192.168.1.5"]
    assert candidates(peer_at(*addresses), MINE, "other") == ["172.17.0.1"]


def test_one_that_has_only_our_own_addresses_shares_our_network() -> None:
    assert candidates(peer_at("127.0.0.1"), Scope("host", ("127.0.0.1",)), "me") == ["127.0.0.1"]


def test_near_addresses_come_first_and_link_local_ones_in_each_zone() -> None:
    peer = peer_at("10.9.9.9", "fe80::5", "fd00::5", "192.168.1.5")
    assert candidates(peer, MINE, "me") == [
        "fd00::5",
        "192.168.1.5",
        "fe80::5%eth0",
        "fe80::5%wlan0",
        "10.9.9.9",
    ]


def test_a_link_local_address_is_no_candidate_without_a_zone() -> None:
    assert candidates(peer_at("fe80::5"), Scope("lan", ("192.168.1.6",)), "me") == []


def test_mdns_is_sent_from_each_ipv4_address_and_from_one_ipv6_address_an_interface() -> None:
    scope = Scope("lan", ("10.0.0.1", "10.0.0.2", "fd00::6", "fe80::6%eth0", "fe80::8%eth0", "fe80::7%wlan0"))
    assert mdns_addresses(scope) == ["10.0.0.1", "10.0.0.2", "fe80::7%wlan0", "fe80::6%eth0"]
    assert mdns_addresses(Scope("x", ("fd00::6",))) == ["fd00::6"]
    assert mdns_addresses(Scope("lo", ("127.0.0.1", "::1"))) == ["127.0.0.1"]


def test_the_loopback_interface_has_addresses_of_both_versions_if_the_host_has() -> None:
    assert "127.0.0.1" in resolve_scope("lo").addresses
    assert resolve_scope("lo").host_only


def test_of_several_interfaces_some_may_be_gone_for_a_while_but_not_all_and_none_at_the_start() -> None:
    with pytest.raises(ConfigurationError, match=r"no interface or address 'gone0'; it has: .*lo"):
        resolve_scope("lo,gone0")
    now = scope_now("lo,gone0")
    assert now.addresses == resolve_scope("lo").addresses
    assert now.wanted == "lo,gone0"
    assert now.note == "gone0 is missing now"
    with pytest.raises(ConfigurationError, match="no interface or address 'gone0, gone1'"):
        scope_now("gone0,gone1")


def test_one_who_cannot_follow_the_network_does_not_keep_the_others_from_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(scope: Scope) -> None:
        raise RuntimeError(f"not to {scope}")

    async def main() -> None:
        watch = ScopeWatch.of(Scope("lo", ("127.0.0.9",)))
        told = Collector()
        for follower in (fail, told):
            watch.follow(follower)
        watch.check()
        assert told.items == [resolve_scope("lo")] == [watch.scope]
        assert "not to lo (127.0.0.1" in caplog.text
        for follower in (fail, told):
            watch.leave(follower)

    run(main())


def hold_up() -> None:
    time.sleep(0.05)


def work() -> None:
    until = time.thread_time() + 0.02
    while time.thread_time() < until:
        pass


@pytest.mark.parametrize(("what", "least_s", "most_s"), [(hold_up, 0.0, 1.0), (work, 5.0, 60.0)])
def test_a_look_at_the_network_that_costs_much_and_not_one_that_is_held_up_delays_the_next(
    what: Callable[[], None], least_s: float, most_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look(wanted: str) -> Scope:
        what()
        return scope_now(wanted)

    async def main() -> None:
        monkeypatch.setattr(scope_watch, "scope_now", look)
        watch = ScopeWatch.of(resolve_scope("lo"))
        told = Collector()
        watch.follow(told)
        watch._check_again()
        assert watch._timer is not None
        assert least_s < watch._timer.when() - asyncio.get_running_loop().time() <= most_s
        watch._timer.cancel()
        watch.leave(told)

    run(main())


@contextmanager
def listening(address: str = "127.0.0.1", *, accepts: bool = True) -> Iterator[int]:
    """A port; once its backlog is full, it does not answer."""
    with socket.create_server((address, 0), backlog=16 if accepts else 0) as server:
        port = server.getsockname()[1]
        full = []
        if not accepts:
            for _ in range(4):
                one = socket.socket()
                one.setblocking(False)
                one.connect_ex((address, port))
                full.append(one)
        yield port
        for one in full:
            one.close()


def test_a_probe_tells_who_accepts_who_refuses_and_who_is_silent() -> None:
    async def main() -> None:
        with listening() as port:
            assert await probe(["127.0.0.1"], port) == (ProbeAnswer.ACCEPTED, "127.0.0.1")
            assert await probe(["127.0.0.9", "127.0.0.1"], port) == (ProbeAnswer.ACCEPTED, "127.0.0.1")
        assert await probe(["127.0.0.1"], port) == (ProbeAnswer.REFUSED, "")
        assert await probe([], port) == (ProbeAnswer.SILENT, "")
        assert await probe(["fe80::1%nothing"], port) == (ProbeAnswer.SILENT, "")
        with listening(accepts=False) as port:
            assert await probe(["127.0.0.1"], port) == (ProbeAnswer.SILENT, "")

    run(main())


def test_an_address_for_which_there_can_be_no_socket_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """For example IPv6 on a kernel without it, or any address without a free descriptor."""
    make = socket.socket

    def refuse(family: int, *rest: int) -> socket.socket:
        if family == socket.AF_INET6:
            raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
        return make(family, *rest)

    async def main() -> None:
        with listening() as port:
            monkeypatch.setattr("colugo.net.addresses.probe.socket.socket", refuse)
            assert await probe(["::1", "127.0.0.1"], port) == (ProbeAnswer.ACCEPTED, "127.0.0.1")

    run(main())


def test_the_last_of_very_many_addresses_is_tried_in_time() -> None:
    async def main() -> None:
        with listening("127.0.0.2", accepts=False) as port, socket.create_server(("127.0.0.1", port)):
            answer = await probe(["127.0.0.2"] * 300 + ["127.0.0.1"], port)
            assert answer == (ProbeAnswer.ACCEPTED, "127.0.0.1")

    run(main())


def test_an_address_that_is_silent_does_not_hold_up_one_that_answers() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with listening("127.0.0.2", accepts=False) as port, socket.create_server(("127.0.0.1", port)):
            began = loop.time()
            assert await probe(["127.0.0.2", "127.0.0.1"], port) == (ProbeAnswer.ACCEPTED, "127.0.0.1")
            assert loop.time() - began < 1

    run(main())


def with_routes(check: Callable[[EndpointChoice, Scope], object]) -> None:
    async def main() -> None:
        logger = logging.getLogger("test")
        tasks = Tasks("test", logger)
        result = check(
            EndpointChoice("me", IpcFiles(enabled=False, base=Path(), logger=logger), tasks),
            Scope("x", ("10.0.0.1",)),
        )
        if asyncio.iscoroutine(result):
            await result
        await tasks.cancel()

    run(main())


def find(
    routes: EndpointChoice,
    scope: Scope,
    peer: Advertisement,
    before: str | None = None,
    connected: Callable[[], bool] = lambda: False,
) -> Collector:
    found = Collector()
    routes.find(peer, scope, found, taken=(), before=before, connected=connected)
    return found


def test_the_first_address_that_answers_is_kept_for_all_sockets_of_that_host() -> None:
    async def check(routes: EndpointChoice, scope: Scope) -> None:
        with listening() as port:
            first = find(routes, scope, peer_at("127.0.0.9", "127.0.0.1", port=port))
            assert first.items == []
            assert await first.reach(1) == [f"tcp://127.0.0.1:{port}"]
        other = find(routes, scope, peer_at("127.0.0.9", "127.0.0.1", port=7, socket_id=b"another."))
        assert other.items == ["tcp://127.0.0.1:7"]

    with_routes(check)


def test_a_socket_that_is_gone_does_not_hold_up_others_of_its_host() -> None:
    async def check(routes: EndpointChoice, scope: Scope) -> None:
        with listening("127.0.0.2", accepts=False) as silent, listening() as port:
            first = find(routes, scope, peer_at("127.0.0.2", "127.0.0.1", port=silent))
            second = find(routes, scope, peer_at("127.0.0.2", "127.0.0.1", port=port, socket_id=b"another."))
            assert await second.reach(1) == [f"tcp://127.0.0.1:{port}"]
            assert first.items == [f"tcp://127.0.0.1:{silent}"]

    with_routes(check)


def test_of_many_sockets_of_a_host_all_are_found_when_the_first_ones_are_gone() -> None:
    async def check(routes: EndpointChoice, scope: Scope) -> None:
        with listening() as port:
            peers = [
                peer_at("127.0.0.2", "127.0.0.1", port=one, socket_id=bytes([one]) * 8)
                for one in (1, 2, 3, 4, 5, 6)
            ]
            sought = [find(routes, scope, one) for one in peers]
            last = find(routes, scope, peer_at("127.0.0.2", "127.0.0.1", port=port, socket_id=b"another."))
            assert await last.reach(1) == [f"tcp://127.0.0.1:{port}"]
            for one, found in zip(peers, sought, strict=True):
                assert await found.reach(1) == [f"tcp://127.0.0.2:{one.port}"]

    with_routes(check)


def test_where_somebody_else_answers_it_is_not_tried_again_as_long_as_others_answer() -> None:
    async def check(routes: EndpointChoice, scope: Scope) -> None:
        with listening() as port, socket.create_server(("127.0.0.2", port)) as second:
            peer = peer_at("127.0.0.1", "127.0.0.2", port=port)
            assert await find(routes, scope, peer).reach(1) == [f"tcp://127.0.0.1:{port}"]
            routes.doubt(peer, f"tcp://127.0.0.1:{port}")
            assert await find(routes, scope, peer).reach(1) == [f"tcp://127.0.0.2:{port}"]
            second.close()
            routes.forget(peer)
            again = find(routes, scope, peer, before=f"tcp://127.0.0.1:{port}")
            assert await again.reach(1) == [f"tcp://127.0.0.1:{port}"]

    with_routes(check)


@pytest.mark.parametrize("before", [None, "tcp://127.0.0.2:9", "tcp://192.0.2.1:9"])
def test_if_nobody_answers_zeromq_goes_on_where_it_was_or_at_the_likeliest_address(
    before: str | None,
) -> None:
    async def check(routes: EndpointChoice, scope: Scope) -> None:
        peer = peer_at("127.0.0.1", "127.0.0.2", port=9)
        expected = before if before == "tcp://127.0.0.2:9" else "tcp://127.0.0.1:9"
        assert await find(routes, scope, peer, before).reach(1) == [expected]

    with_routes(check)


def test_a_connection_that_comes_back_while_its_peer_is_sought_stays_where_it_is() -> None:
    async def check(routes: EndpointChoice, scope: Scope) -> None:
        with listening() as port:
            peer = peer_at("127.0.0.1", "127.0.0.2", port=port)
            now = iter((False, True))
            found = find(routes, scope, peer, f"tcp://127.0.0.2:{port}", lambda: next(now))
            assert await found.reach(1) == [f"tcp://127.0.0.2:{port}"]

    with_routes(check)


def test_a_connection_to_an_address_that_the_peer_no_longer_has_does_not_stay() -> None:
    async def check(routes: EndpointChoice, scope: Scope) -> None:
        with listening() as port:
            peer = peer_at("127.0.0.9", "127.0.0.1", port=port)
            found = find(routes, scope, peer, f"tcp://127.0.0.2:{port}", lambda: True)
            assert await found.reach(1) == [f"tcp://127.0.0.1:{port}"]

    with_routes(check)
