"""The processes of streams: `python -m tools.bench.stream_roles ROLE LIBRARY NETWORK …`."""

import sys
import time
from collections.abc import Callable, Iterator
from typing import cast

from tools.bench.peers import factory
from tools.bench.peers.base import FloodProducer, StreamPeer
from tools.bench.peers.network import Network
from tools.bench.roles import obey, say
from tools.bench.tally import Tally, numbered

_UNCONFIRMED = 1000


def main() -> None:
    """Play a role."""
    role, library, network, *arguments = sys.argv[1:]
    peer = factory(library)(Network.parse(network))
    _ROLES[role](peer, *arguments)
    peer.close()


def confirm(peer: StreamPeer, place: str) -> None:
    """Send with so many unconfirmed: `send SIZE FIRST COUNT`.

    Args:
        peer: what it uses.
        place: where messages are kept: `disk` or `memory`.
    """
    producer = peer.producer(_UNCONFIRMED, stored=place == "disk")
    peer.start()
    producer.ready()
    _send(producer.send_confirmed)


def flood(peer: StreamPeer, place: str) -> None:
    """Send as fast as it goes: the same."""
    producer = cast("FloodProducer", peer.producer(_UNCONFIRMED, stored=place == "disk"))
    peer.start()
    producer.ready()
    _send(producer.send_all)


def consume(peer: StreamPeer, prefetch: str) -> None:
    """Count what comes: `expect SIZE FIRST COUNT`, `status`."""
    tally = Tally()
    consumer = peer.consumer(int(prefetch), tally.take, lambda: say(f"finished {time.monotonic_ns()}"))
    peer.start()
    consumer.ready()
    say("ready")

    def expect(size: str, first: str, count: str) -> None:
        tally.expect(int(size), int(first), int(count))
        say("expecting")

    def status() -> None:
        say(f"status {tally.arrived} {tally.doubled} {tally.wrong}")

    obey({"expect": expect, "status": status})


def _send(send_all: Callable[[Iterator[bytes]], None]) -> None:
    say("ready")

    def send(size: str, first: str, count: str) -> None:
        messages = numbered(int(size), int(first), int(count))
        began = time.monotonic_ns()
        send_all(messages)
        say(f"sent {began} {time.monotonic_ns()}")

    obey({"send": send})


_ROLES: dict[str, Callable[..., None]] = {"confirm": confirm, "flood": flood, "consume": consume}

if __name__ == "__main__":
    main()
