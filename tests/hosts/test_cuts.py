"""Links that go down, and cables that are cut: both sides notice, and recover by themselves afterwards."""

import time
from collections.abc import Callable, Iterable

import pytest

from tests.support.essentials import seconds
from tests.support.namespaces import Host, Hosts, require_namespaces
from tests.support.peers import Peer, meshed, settle, timely

CUT_S = 12.0
NOTICED_S = 5.0
NOTICED_ONE_WAY_S = 10.0
"""A side that still gets keepalive probes notices only when the other gives up: twice as long."""
BACK_S = 2.0

Act = Callable[[Host], None]


def cut(host: Host) -> None:
    host.cable.cut()


def cut_what_it_sends(host: Host) -> None:
    host.cable.cut("out")


def cut_what_it_gets(host: Host) -> None:
    host.cable.cut("in")


def mend(host: Host) -> None:
    host.cable.mend()


WAYS = [
    pytest.param(cut, mend, id="silent-cut"),
    pytest.param(cut_what_it_sends, mend, id="nothing-out"),
    pytest.param(cut_what_it_gets, mend, id="nothing-in"),
    pytest.param(Host.link_down, Host.link_up, id="link-down"),
    pytest.param(Host.unplug, Host.plug, id="no-carrier"),
]


def noticed_after(peer: Peer, other: str, since: float) -> list[float]:
    """Return the time until the other's publisher, server and subscriber were lost."""
    events = [
        *(
            peer.wait("disconnected", 20, since=since, kind=kind, peer=other, reason="lost")
            for kind in ("pub", "rep")
        ),
        peer.wait("subscribers", 20, since=since, before=2, now=1),
    ]
    times = [event["t"] - since for event in events]
    print(f"{peer.name} noticed publisher, server and reader after {times} s")
    return times


def back_after(peer: Peer, other: str, since: float) -> list[float]:
    """Return the time until the other's publisher and server were connected, and a message arrived."""
    events = [
        *(peer.wait("connected", 30, since=since, kind=kind, peer=other) for kind in ("pub", "rep")),
        peer.wait("heard", 30, since=since, peer=other),
    ]
    times = [event["t"] - since for event in events]
    print(f"{peer.name} was connected with publisher and server again, and heard it, after {times} s")
    return times


def start(peers: Iterable[Peer]) -> None:
    for peer in peers:
        peer.send(20)
        peer.ask(20)


def rest(peers: Iterable[Peer]) -> None:
    for peer in peers:
        peer.send(0)
        peer.ask(0)


def hold(since: float) -> None:
    """Wait until the end of the cut."""
    rest_s = since + seconds(CUT_S) - time.monotonic()
    if rest_s > 0:
        time.sleep(rest_s)


@pytest.mark.slow
@pytest.mark.measures
@pytest.mark.timeout(150)
@pytest.mark.parametrize("idle", [True, False], ids=["idle", "sending"])
@pytest.mark.parametrize(("sever", "rejoin"), WAYS)
def test_a_cut_of_12_s_is_noticed_on_both_sides_and_healed_without_a_restart(
    sever: Act,
    rejoin: Act,
    idle: bool,  # noqa: FBT001
) -> None:
    require_namespaces()
    with Hosts(2, cabled=True) as hosts, meshed(hosts) as (a, b):
        pairs = [(a, "b"), (b, "a")]
        start((a, b))
        for peer, other in pairs:
            peer.wait("heard", peer=other)
            peer.wait("answered")
        if idle:
            rest((a, b))
        since = time.monotonic()
        sever(a.host)
        noticed = [time for peer, other in pairs for time in noticed_after(peer, other, since)]
        hold(since)
        if idle:
            start((a, b))
        back = time.monotonic()
        rejoin(a.host)
        healed = [time for peer, other in pairs for time in back_after(peer, other, back)]
        settle(a, b)
        settle(b, a)
        for peer, other in pairs:  # once each, publisher and server
            assert len(peer.found("disconnected", since, peer=other)) == 2
        one_way = sever in (cut_what_it_sends, cut_what_it_gets)
        assert timely(max(noticed), NOTICED_ONE_WAY_S if one_way else NOTICED_S)
        assert timely(max(healed), BACK_S)
