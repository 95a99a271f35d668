"""The processes with many sockets: `python -m tools.bench.node_roles ROLE LIBRARY NETWORK …`."""

import itertools
import resource
import sys
import time
from collections.abc import Callable
from functools import partial

import psutil

from tools.bench.peers import factory
from tools.bench.peers.base import DiscoveringPeer
from tools.bench.peers.colugo_peer import Peer as ColugoPeer
from tools.bench.peers.network import Network
from tools.bench.roles import obey, say

_POLL_S = 0.002
_FOUND_WITHIN_S = 30.0


def main() -> None:
    """Play a role."""
    role, library, network, *arguments = sys.argv[1:]
    _ROLES[role](partial(factory(library), Network.parse(network)), *arguments)


def populate(make: Callable[[], DiscoveringPeer], own: str, other: str, sockets: str) -> None:
    """Have as many publishers as subscribers of another one's, then say the CPU time when told so: `cpu`."""
    peer: DiscoveringPeer = make()
    connected = itertools.count(1)
    half = int(sockets) // 2

    def on_connect() -> None:
        if next(connected) == half:
            say("ready")

    parts = [peer.announcer(f"{own}.{number}") for number in range(half)]
    watchers = [peer.watcher(f"{other}.{number}", on_connect) for number in range(half)]
    peer.start()
    obey({"cpu": lambda: say(f"cpu {time.process_time_ns()}")})
    del parts, watchers
    peer.close()


def crowd(make: Callable[[], DiscoveringPeer], prefix: str, count: str, files: str) -> None:
    """Have so many publishers, with so many files to open at most; `memory`."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (int(files), most))
    began = time.monotonic_ns()
    peer: DiscoveringPeer = make()
    publishers = [peer.announcer(f"{prefix}.{number}") for number in range(int(count))]
    peer.start()
    say(f"up {began}")
    obey({"memory": lambda: say(f"memory {psutil.Process().memory_info().rss}")})
    del publishers
    peer.close()


def lookout(make: Callable[[], ColugoPeer]) -> None:
    """Say when so many publishers are known: `await PREFIX COUNT`."""
    peer = make()
    peer.start()
    say("ready")

    def wait(prefix: str, count: str) -> None:
        deadline = time.monotonic() + _FOUND_WITHIN_S
        while (known := peer.known(prefix)) < int(count) and time.monotonic() < deadline:
            time.sleep(_POLL_S)
        say(f"known {known} {time.monotonic_ns()}")

    obey({"await": wait})
    peer.close()


_ROLES: dict[str, Callable[..., None]] = {"populate": populate, "crowd": crowd, "lookout": lookout}

if __name__ == "__main__":
    main()
