"""Hosts on one network find each other, in any order of starting and ending."""

import random
import signal
import time
from contextlib import ExitStack

import pytest

from tests.support.namespaces import Hosts, require_namespaces
from tests.support.peers import ADVERTISED, Peer, in_mesh, meshed

NAMES = "abcde"
ROUNDS = 15


@pytest.mark.parametrize("ipv6", [False, True])
@pytest.mark.parametrize("count", [2, pytest.param(5, marks=pytest.mark.slow)])
def test_all_hosts_hear_and_answer_each_other(count: int, ipv6: bool) -> None:  # noqa: FBT001
    require_namespaces()
    with Hosts(count, ipv6=ipv6) as hosts, meshed(hosts) as peers:
        for peer in peers:
            peer.send(20)
            peer.ask(20)
        for peer in peers:
            for other in peers:
                peer.wait("heard", peer=other.name)
            peer.count_until(lambda counted: counted["client"]["replies"] >= 2 * count)
            counted = peer.count()
            assert counted["publisher"]["subscribers"] == counted["client"]["servers"] == count
            assert counted["client"]["timeouts"] == counted["client"]["lost"] == 0
            assert counted["subscriber"]["lost"] == counted["subscriber"]["duplicates"] == 0
            assert len(counted["directory"]) == ADVERTISED * count
        for peer in peers:
            peer.stop()


def all_meet(present: dict[str, Peer], came: float) -> None:
    """Check that each node is connected with all present ones, and only with them."""
    for peer in present.values():
        for other in present.values():
            since = came if peer.spawned >= came or other.spawned >= came else 0.0
            for kind in ("pub", "rep"):
                peer.wait("connected", kind=kind, peer=other.name, since=since)
        count = len(present)
        counted = peer.count_until(
            lambda counted: (
                counted["publisher"]["subscribers"] == counted["client"]["servers"] == count  # noqa: B023 - at once
                and counted["subscriber"]["publishers"] == count  # noqa: B023
                and len(counted["directory"]) == ADVERTISED * count  # noqa: B023
            )
        )
        assert counted["callback_errors"] == 0


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_five_hosts_join_and_leave_in_any_order() -> None:
    require_namespaces()
    seed = random.randrange(1 << 32)
    print("seed", seed)
    chance = random.Random(seed)
    with Hosts(len(NAMES)) as hosts, ExitStack() as stack:
        present: dict[str, Peer] = {}
        for _ in range(ROUNDS):
            came = time.monotonic()
            for name, host in chance.sample([*zip(NAMES, hosts, strict=True)], chance.randint(1, len(NAMES))):
                peer = present.pop(name, None)
                if peer is None:
                    present[name] = stack.enter_context(in_mesh(host, name))
                elif chance.random() < 0.5:
                    peer.stop()
                else:
                    peer.program.signal(signal.SIGKILL)
            print("present:", "".join(sorted(present)))
            all_meet(present, came)
            for peer in present.values():
                peer.send(20)
            for peer in present.values():
                for other in present.values():
                    since = came if peer.spawned >= came or other.spawned >= came else 0.0
                    peer.wait("heard", peer=other.name, since=since)
