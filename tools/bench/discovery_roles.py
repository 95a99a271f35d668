"""The processes of the discovery benchmark: `python -m tools.bench.discovery_roles ROLE LIBRARY NETWORK …`.

They are told what to do line by line on standard input, answer on standard output, and end with their
input. Times are nanoseconds of CLOCK_MONOTONIC, which the processes of a machine share.
"""

import sys
import threading
import time
from collections.abc import Callable
from functools import partial

from tools.bench.peers import factory
from tools.bench.peers.base import Part, Peer

ROUND_S = 10.0
"""A round that has not come to its end by then has failed."""
SEND_EVERY_MS = 1
MESSAGE = bytes(64)


def main() -> None:
    """Play a role."""
    role, library, network, *arguments = sys.argv[1:]
    _ROLES[role](factory(library), int(network), *arguments)


def announce(make: Callable[[int], Peer], network: int) -> None:
    """Add a publisher when told so: `open TOPIC`, `close`."""
    peer = make(network)
    peer.start()
    _say("ready")
    parts: list[Part] = []

    def add(topic: str) -> None:
        began = time.monotonic_ns()
        parts.append(peer.publisher(topic))
        _say(f"opened {topic} {began}")

    _obey(peer, parts, {"open": add})


def watch(make: Callable[[int], Peer], network: int) -> None:
    """Subscribe when told so, and say when a publisher is connected: `watch TOPIC`, `close`."""
    peer = make(network)
    peer.start()
    _say("ready")
    parts: list[Part] = []

    def connected(topic: str) -> None:
        _say(f"connected {topic} {time.monotonic_ns()}")

    def add(topic: str) -> None:
        parts.append(peer.subscriber(topic, _ignore, partial(connected, topic)))
        _say(f"watching {topic}")

    _obey(peer, parts, {"watch": add})


def member(make: Callable[[int], Peer], network: int, own_topic: str, other_topic: str) -> None:
    """Publish every millisecond from `go` to `close`, and read what another member publishes."""
    peer = make(network)
    sender = peer.publisher(own_topic)
    peer.subscriber(other_topic, _ignore, lambda: _say("ready"))
    peer.start()
    parts: list[Part] = []

    def go() -> None:
        parts.append(peer.repeat(SEND_EVERY_MS, lambda: sender.send(MESSAGE)))
        _say("going")

    _obey(peer, parts, {"go": go})


def join(make: Callable[[int], Peer], network: int, topic: str) -> None:
    """Come into the network, and say how many nanoseconds later the first message came."""
    heard = threading.Event()
    times: list[int] = []

    def on_message(message: bytes) -> None:
        del message
        if not times:
            times.append(time.monotonic_ns())
            heard.set()

    began = time.monotonic_ns()
    peer = make(network)
    peer.subscriber(topic, on_message)
    peer.start()
    _say(f"heard {times[0] - began}" if heard.wait(ROUND_S) else f"silence for {ROUND_S:g} s")
    peer.close()


def _obey(peer: Peer, parts: list[Part], actions: dict[str, Callable[..., None]]) -> None:
    def close_parts() -> None:
        while parts:
            parts.pop().close()
        _say("closed")

    for line in sys.stdin:
        word, *rest = line.split()
        if word == "close":
            peer.call(close_parts)
        else:
            peer.call(partial(actions[word], *rest))
    peer.close()


def _ignore(message: bytes) -> None:
    del message


def _say(line: str) -> None:
    # one write, so that lines of several threads cannot mix
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


_ROLES: dict[str, Callable[..., None]] = {
    "announce": announce,
    "watch": watch,
    "member": member,
    "join": join,
}

if __name__ == "__main__":
    main()
