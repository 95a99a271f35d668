"""The processes that exchange messages: `python -m tools.bench.message_roles ROLE LIBRARY NETWORK …`."""

import sys
import time
from collections.abc import Callable

from tools.bench.peers import factory
from tools.bench.peers.base import Peer, RequestPeer
from tools.bench.peers.network import Network
from tools.bench.receipt import Receipt, TimedReceipt, payload, stamped
from tools.bench.roles import obey, say
from tools.bench.statistics import percentile

_TOPIC = "bench.messages"


def main() -> None:
    """Play a role."""
    role, library, network, *arguments = sys.argv[1:]
    peer = factory(library)(Network.parse(network))
    _ROLES[role](peer, *arguments)
    peer.close()


def publish(peer: Peer, number: str) -> None:
    """Send when told so: `probe`, `send SIZE COUNT`, `pace SIZE TICKS PER_TICK`."""
    publisher = peer.publisher(_TOPIC)
    peer.start()
    say("ready")

    def send(size: str, count: str) -> None:
        message = payload(int(size))
        began = time.monotonic_ns()
        publisher.send_all(message, int(count))
        say(f"sent {began}")

    def pace(size: str, ticks: str, per_tick: str) -> None:
        filling = payload(int(size))
        began = time.monotonic_ns()
        publisher.pace(lambda: stamped(filling), int(ticks), int(per_tick))
        say(f"sent {began}")

    obey({"probe": lambda: publisher.send_all(bytes([int(number)]), 1), "send": send, "pace": pace})


def subscribe(peer: Peer) -> None:
    """Count what comes: `expect SIZE COUNT`, `status`."""
    _receive(peer, Receipt(say), lambda: None)


def take_times(peer: Peer) -> None:
    """Take the times of what comes: `expect SIZE COUNT`, `status`, `times`."""
    receipt = TimedReceipt(say)
    _receive(
        peer, receipt, lambda: say(f"times {percentile(receipt.times, 50)} {percentile(receipt.times, 99)}")
    )


def serve(peer: RequestPeer) -> None:
    """Answer every request."""
    server = peer.server(_TOPIC)
    peer.start()
    say("ready")
    obey({})
    del server


def ask(peer: RequestPeer) -> None:
    """Ask when told so: `trips SIZE COUNT`, `keep SIZE COUNT IN_FLIGHT`."""
    peer.start()
    client = peer.client(_TOPIC)
    receipt = Receipt(lambda _: None)
    say("ready")

    def trips(size: str, count: str) -> None:
        receipt.expect(int(size), int(count))
        times = client.one_by_one(payload(int(size)), receipt.on_message, int(count))
        say(f"trips {receipt.count} {receipt.wrong} {percentile(times, 50)} {percentile(times, 99)}")

    def keep(size: str, count: str, in_flight: str) -> None:
        receipt.expect(int(size), int(count))
        began = time.monotonic_ns()
        client.keep_in_flight(payload(int(size)), receipt.on_message, int(count), int(in_flight))
        say(f"kept {receipt.count} {receipt.wrong} {time.monotonic_ns() - began}")

    obey({"trips": trips, "keep": keep})


def _receive(peer: Peer, receipt: Receipt | TimedReceipt, say_times: Callable[[], None]) -> None:
    subscriber = peer.subscriber(_TOPIC, receipt.on_message)
    peer.start()
    say("ready")

    def expect(size: str, count: str) -> None:
        receipt.expect(int(size), int(count))
        say("expecting")

    obey(
        {
            "expect": expect,
            "status": lambda: say(f"status {receipt.count} {receipt.wrong}"),
            "times": say_times,
        }
    )
    del subscriber


_ROLES: dict[str, Callable[..., None]] = {
    "publish": publish,
    "subscribe": subscribe,
    "take_times": take_times,
    "serve": serve,
    "ask": ask,
}

if __name__ == "__main__":
    main()
