"""All nodes notice a killed node immediately, forget it soon, and reconnect when it is back."""

import math
import random
import statistics
import time
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest

from tests.support.namespaces import Host, Hosts, require_namespaces
from tests.support.peers import ADVERTISED, ASK, FROM, Event, Peer, in_mesh, meshed, timely

KINDS = ("pub", "rep")
SINGLE_KILLS = 20
KILLS = 100
NODES = 10
STAY = 2
"""The number of nodes that are never killed."""
FORGOTTEN_S = 5.0
FOUND_S = 1.0
MIB = 1024 * 1024


def lost_after(peer: Peer, killed: Peer, since: float) -> list[float]:
    """Return the time until the loss of the killed node's publisher and server was reported."""
    return [
        peer.wait("disconnected", since=since, kind=kind, peer=killed.name, reason="lost")["t"] - since
        for kind in KINDS
    ]


@pytest.mark.slow
@pytest.mark.measures
@pytest.mark.timeout(180)
def test_a_killed_node_is_lost_in_milliseconds_and_found_again_within_a_second() -> None:
    require_namespaces()
    with Hosts(4) as hosts, meshed(hosts[:3]) as (a, b, c), ExitStack() as stack:
        stay = [a, b, c]
        lost: list[float] = []
        unread: list[float] = []
        found: list[float] = []
        for _ in range(SINGLE_KILLS):
            victim = stack.enter_context(in_mesh(hosts[3], "victim"))
            began = victim.wait("starts")["t"]
            for peer in stay:
                for kind in KINDS:
                    event = peer.wait("connected", since=began, kind=kind, peer="victim")
                    found.append(event["t"] - began)
                peer.count_until(lambda counted: counted["publisher"]["subscribers"] == len(stay) + 1)
            since = victim.kill()
            for peer in stay:
                lost += lost_after(peer, victim, since)
                unread.append(peer.wait("subscribers", since=since, now=len(stay))["t"] - since)
            for peer in stay:
                for kind in (*KINDS, "node"):
                    gone = peer.wait("unlisted", since=since, kind=kind, peer="victim")
                    assert timely(gone["t"] - since, FORGOTTEN_S)
        for what, times in (("lost", lost), ("reader gone", unread), ("found", found)):
            print(f"{what}: median {1000 * statistics.median(times):.1f}, most {1000 * max(times):.1f} ms")
        assert timely(statistics.median(lost), 0.01)
        assert timely(max(lost), 1.0)
        assert timely(max(unread), 1.0)
        assert timely(max(found), FOUND_S)


@pytest.mark.slow
@pytest.mark.measures
def test_a_killed_node_that_only_listened_and_asked_is_forgotten_too() -> None:
    """A node that no peer connects to, so that only its own connections break."""
    require_namespaces()
    with (
        Hosts(2) as hosts,
        in_mesh(hosts[0], "stays") as stays,
        Peer(hosts[1], "listener", subscribe=f"{FROM}.#", ask=ASK) as listener,
    ):
        stays.wait("listed", kind="node", peer="listener")
        listener.wait("connected", kind="pub", peer="stays")
        listener.wait("connected", kind="rep", peer="stays")
        stays.wait("subscribers", now=2)
        since = listener.kill()
        assert timely(stays.wait("subscribers", since=since, now=1)["t"] - since, 1.0)
        gone = stays.wait("unlisted", since=since, kind="node", peer="listener")
        assert timely(gone["t"] - since, FORGOTTEN_S)


@dataclass
class Life:
    """One start of a node.

    Attributes:
        peer: the process.
        killed: the time when it was killed.
        followed: the time when the node was started again.
    """

    peer: Peer
    killed: float = math.inf
    followed: float = math.inf

    def seen(self, stay: Peer, event: str) -> list[Event]:
        """Return what a surviving node reported of it."""
        events = stay.found(event, self.peer.spawned, peer=self.peer.name)
        return [one for one in events if one["t"] < self.followed]


class Village:
    """Nodes of which some are killed and started again at random."""

    def __init__(self, hosts: Iterable[Host], stack: ExitStack, chance: random.Random) -> None:
        self._hosts = list(hosts)
        self._stack = stack
        self._chance = chance
        self.lives: list[list[Life]] = []
        self._due: list[tuple[float, int]] = []
        for number in range(len(self._hosts)):
            self.lives.append([])
            self._start(number)

    @property
    def present(self) -> list[Peer]:
        """The running nodes."""
        return [lives[-1].peer for lives in self.lives if lives[-1].killed == math.inf]

    def kill_one(self) -> None:
        """Wait for a random time, and kill one of the running nodes."""
        until = time.monotonic() + self._chance.uniform(0.0, 0.8)
        while time.monotonic() < until or len(self._due) == len(self.lives) - STAY:
            self._return_due()
            time.sleep(0.005)
        away = {number for _, number in self._due}
        number = self._chance.choice([n for n in range(STAY, len(self.lives)) if n not in away])
        life = self.lives[number][-1]
        life.killed = life.peer.kill()
        self._due.append((life.killed + self._chance.uniform(0.0, 1.5), number))

    def return_all(self) -> None:
        """Start the nodes that are not running."""
        for _, number in self._due:
            self._start(number)
        self._due.clear()

    def _return_due(self) -> None:
        now = time.monotonic()
        for one in [one for one in self._due if one[0] <= now]:
            self._due.remove(one)
            self._start(one[1])

    def _start(self, number: int) -> None:
        peer = self._stack.enter_context(in_mesh(self._hosts[number], f"node{number}"))
        for before in self.lives[number][-1:]:
            before.followed = peer.spawned
        self.lives[number].append(Life(peer))

    def settle(self) -> None:
        """Wait until all running nodes are connected with each other, and know no others."""
        count = len(self.lives)
        for peer in self.present:
            peer.count_until(
                lambda counted: (
                    counted["publisher"]["subscribers"] == counted["client"]["servers"] == count
                    and counted["subscriber"]["publishers"] == count
                    and len(counted["directory"]) == ADVERTISED * count
                ),
                30,
            )


def check_life(stay: Peer, life: Life) -> tuple[list[float], list[float]]:
    """Return how long a node that stayed took to find this node, and to lose it without a trace."""
    connected = life.seen(stay, "connected")
    began = [event["t"] for event in life.peer.found("starts")]
    if began and life.killed - began[0] > FOUND_S:
        assert len(connected) == len(KINDS), (stay.name, life, connected)
    found = [event["t"] - began[0] for event in connected]
    if life.killed == math.inf:
        return found, []
    lost = []
    for event in connected:
        (gone,) = stay.found("disconnected", socket=event["socket"])
        assert gone["reason"] == "lost"
        lost.append(gone["t"] - life.killed)
    for event in life.seen(stay, "listed"):
        unlisted = stay.wait("unlisted", FORGOTTEN_S, socket=event["socket"])
        assert timely(unlisted["t"] - life.killed, FORGOTTEN_S), (stay.name, life, event, unlisted)
    return found, lost


def grown(before: dict[str, Any], after: dict[str, Any]) -> dict[str, int]:
    """Return the resources that have grown."""
    names = ("memory", "descriptors", "tasks", "cached")
    return {name: after[name] - before[name] for name in names}


@pytest.mark.slow
@pytest.mark.measures
@pytest.mark.timeout(400)
def test_a_hundred_kills_among_ten_nodes_leave_no_ghost_and_nothing_grows() -> None:
    require_namespaces()
    seed = random.randrange(1 << 32)
    print("seed", seed)
    with Hosts(NODES) as hosts, ExitStack() as stack:
        village = Village(hosts, stack, random.Random(seed))
        village.settle()
        for peer in village.present:
            peer.send(100)
            peer.ask(100)
        stays = village.present[:STAY]
        before: list[dict[str, Any]] = []
        for number in range(KILLS):
            village.kill_one()
            if number == KILLS // 4:  # until then, everything has been used once
                village.return_all()
                village.settle()
                before = [peer.count() for peer in stays]
        village.return_all()
        village.settle()
        lost: list[float] = []
        found: list[float] = []
        for lives in village.lives[STAY:]:
            for life in lives:
                for stay in stays:
                    finds, losses = check_life(stay, life)
                    found += finds
                    lost += losses
        for what, times in (("lost", lost), ("found", found)):
            print(f"{what}: {len(times)}, median {statistics.median(times):.4f}, most {max(times):.3f} s")
        assert timely(max(lost), 1.0)
        assert timely(max(found), FOUND_S)
        after = [peer.count() for peer in stays]
        for was, now in zip(before, after, strict=True):
            more = grown(was, now)
            print("grown by", more)
            assert more["memory"] < 4 * MIB
            assert more["descriptors"] <= 0
            assert more["tasks"] <= 2
            assert more["cached"] <= 0
            assert now["callback_errors"] == 0
