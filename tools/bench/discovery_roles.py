"""The processes that find each other: `python -m tools.bench.discovery_roles ROLE LIBRARY NETWORK …`."""

import sys
import threading
import time
from collections.abc import Callable
from functools import partial

from tools.bench.peers import factory
from tools.bench.peers.base import DiscoveringPeer, Part
from tools.bench.peers.network import Network
from tools.bench.roles import Actions, obey, say

ROUND_S = 10.0
"""The time limit of a round."""
SEND_EVERY_MS = 1
MESSAGE = bytes(64)


def main() -> None:
    """Play a role."""
    role, library, network, *arguments = sys.argv[1:]
    _ROLES[role](partial(factory(library), Network.parse(network)), *arguments)


def announce(make_peer: Callable[[], DiscoveringPeer]) -> None:
    """Add a publisher when told so: `open TOPIC`, `close`."""
    peer = make_peer()
    peer.start()
    say("ready")
    parts: list[Part] = []

    def add(topic: str) -> None:
        began = time.monotonic_ns()
        parts.append(peer.announcer(topic))
        say(f"opened {topic} {began}")

    _obey(peer, parts, {"open": add})


def watch(make_peer: Callable[[], DiscoveringPeer]) -> None:
    """Subscribe when told so, and say when a publisher is connected: `watch TOPIC`, `close`."""
    peer = make_peer()
    peer.start()
    say("ready")
    parts: list[Part] = []

    def connected(topic: str) -> None:
        say(f"connected {topic} {time.monotonic_ns()}")

    def add(topic: str) -> None:
        parts.append(peer.watcher(topic, partial(connected, topic)))
        say(f"watching {topic}")

    _obey(peer, parts, {"watch": add})


def member(make_peer: Callable[[], DiscoveringPeer], own_topic: str, other_topic: str) -> None:
    """Publish every millisecond from `go` to `close`, and read what another member publishes."""
    peer = make_peer()
    sender = peer.announcer(own_topic)
    peer.watcher(other_topic, lambda: say("ready"))
    peer.start()
    parts: list[Part] = []

    def send() -> None:
        sender.send(MESSAGE)

    def go() -> None:
        parts.append(peer.repeat(SEND_EVERY_MS, send))
        say("going")

    _obey(peer, parts, {"go": go})


def join(make_peer: Callable[[], DiscoveringPeer], topic: str) -> None:
    """Come into the network, and say how many nanoseconds later the first message came."""
    heard = threading.Event()
    times: list[int] = []

    def on_message(message: bytes) -> None:
        del message
        if not times:
            times.append(time.monotonic_ns())
            heard.set()

    began = time.monotonic_ns()
    peer = make_peer()
    peer.subscriber(topic, on_message)
    peer.start()
    say(f"heard {times[0] - began}" if heard.wait(ROUND_S) else f"silence for {ROUND_S:g} s")
    peer.close()


def _obey(peer: DiscoveringPeer, parts: list[Part], actions: Actions) -> None:
    """Run commands on the peer's own thread; `close` closes the parts they made."""

    def close_parts() -> None:
        while parts:
            parts.pop().close()
        say("closed")

    def on_its_thread(action: Callable[..., None], *rest: str) -> None:
        peer.call(partial(action, *rest))

    every = {**actions, "close": close_parts}
    obey({word: partial(on_its_thread, action) for word, action in every.items()})
    peer.close()


_ROLES: dict[str, Callable[..., None]] = {
    "announce": announce,
    "watch": watch,
    "member": member,
    "join": join,
}

if __name__ == "__main__":
    main()
