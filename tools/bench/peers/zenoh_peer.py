"""zenoh, measured: a session in peer mode, with its own defaults but for what the measured task needs.

That is: nothing leaves loopback, and nothing is dropped.
"""

import json
import threading
import time
from collections.abc import Callable

import zenoh

from tools.bench.peers.base import REQUEST_TIMEOUT_S, OnMessage
from tools.bench.peers.network import Network
from tools.bench.peers.pacing import pace

_MATCH_S = 30.0


class _Publisher:
    def __init__(self, session: zenoh.Session, topic: str) -> None:
        self._publisher = session.declare_publisher(
            topic,
            congestion_control=zenoh.CongestionControl.BLOCK,
            reliability=zenoh.Reliability.RELIABLE,
        )
        self.close = self._publisher.undeclare

    def send_all(self, message: bytes, count: int) -> None:
        put = self._publisher.put
        for _ in range(count):
            put(message)

    def pace(self, make: Callable[[], bytes], ticks: int, per_tick: int) -> None:
        pace(self._publisher.put, make, ticks, per_tick)


class _Announcer:
    """A publisher, and the liveliness token by which others learn of it."""

    def __init__(self, session: zenoh.Session, topic: str) -> None:
        self._publisher = session.declare_publisher(topic)
        self._token = session.liveliness().declare_token(topic)
        self.send = self._publisher.put

    def close(self) -> None:
        self._token.undeclare()
        self._publisher.undeclare()


class _Watcher:
    """A subscriber of messages, and one of liveliness tokens."""

    def __init__(self, session: zenoh.Session, topic: str, on_connect: Callable[[], None]) -> None:
        def token_changed(sample: zenoh.Sample) -> None:
            if sample.kind == zenoh.SampleKind.PUT:
                on_connect()

        self.parts = (
            session.declare_subscriber(topic, lambda sample: sample.payload.to_bytes()),
            session.liveliness().declare_subscriber(topic, token_changed, history=True),
        )

    def close(self) -> None:
        for part in self.parts:
            part.undeclare()


class _Undeclared:
    """Something whose closing is called undeclaring."""

    def __init__(self, part: "zenoh.Subscriber[None] | zenoh.Queryable[None]") -> None:
        self.close = part.undeclare


class _Repeater:
    """A thread that calls back."""

    def __init__(self, delay_ms: int, action: Callable[[], None]) -> None:
        self._delay_s = delay_ms / 1000
        self._action = action
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"every {delay_ms} ms", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._closed.set()
        self._thread.join()

    def _run(self) -> None:
        due = time.monotonic()
        while not self._closed.wait(max(0.0, due - time.monotonic())):
            self._action()
            due += self._delay_s


class _Client:
    def __init__(self, session: zenoh.Session, topic: str) -> None:
        self._querier = session.declare_querier(
            topic, timeout=REQUEST_TIMEOUT_S, congestion_control=zenoh.CongestionControl.BLOCK
        )
        deadline = time.monotonic() + _MATCH_S
        while not self._querier.matching_status and time.monotonic() < deadline:
            time.sleep(0.01)

    def one_by_one(self, message: bytes, on_reply: OnMessage, count: int) -> list[int]:
        times = []
        for _ in range(count):
            began = time.monotonic_ns()
            reply = self._querier.get(payload=message).recv()
            times.append(time.monotonic_ns() - began)
            if reply.ok is not None:
                on_reply(reply.ok.payload.to_bytes())
        return times

    def keep_in_flight(self, message: bytes, on_reply: OnMessage, count: int, in_flight: int) -> None:
        free = threading.Semaphore(in_flight)

        def ended(reply: zenoh.Reply) -> None:
            if reply.ok is not None:
                on_reply(reply.ok.payload.to_bytes())
            free.release()

        # from here instead of from the callback: that is faster
        for _ in range(count):
            free.acquire()
            self._querier.get(ended, payload=message)
        for _ in range(in_flight):
            free.acquire()


class Peer:
    """A session; the number of its network is the UDP port on which it scouts."""

    def __init__(self, network: Network) -> None:
        self._session = zenoh.open(_configuration(network))

    def publisher(self, topic: str) -> _Publisher:
        """Add a publisher."""
        return _Publisher(self._session, topic)

    def subscriber(self, topic: str, on_message: OnMessage) -> _Undeclared:
        """Add a subscriber."""
        return _Undeclared(
            self._session.declare_subscriber(topic, lambda sample: on_message(sample.payload.to_bytes()))
        )

    def server(self, topic: str) -> _Undeclared:
        """Add a queryable."""

        def answer(query: zenoh.Query) -> None:
            message = query.payload.to_bytes() if query.payload is not None else b""
            query.reply(topic, message)

        return _Undeclared(self._session.declare_queryable(topic, answer))

    def client(self, topic: str) -> _Client:
        """Add a querier, and wait for its queryable."""
        return _Client(self._session, topic)

    def announcer(self, topic: str) -> _Announcer:
        """Add a publisher, and its liveliness token."""
        return _Announcer(self._session, topic)

    def watcher(self, topic: str, on_connect: Callable[[], None]) -> _Watcher:
        """Add a subscriber, and one of liveliness tokens, which tells."""
        return _Watcher(self._session, topic, on_connect)

    def repeat(self, delay_ms: int, action: Callable[[], None]) -> _Repeater:
        """Call back at a fixed rate, on a thread of its own: zenoh has no repeater."""
        return _Repeater(delay_ms, action)

    def call(self, action: Callable[[], None]) -> None:
        """Call at once: a session may be used from any thread."""
        action()

    def start(self) -> None:
        """Nothing: a session takes part from its opening on."""

    def close(self) -> None:
        """Close the session."""
        self._session.close()


def _configuration(network: Network) -> zenoh.Config:
    config = zenoh.Config()
    tcp = network.transport == "tcp"
    # each session has a path of its own; others learn of it by scouting
    listen = "tcp/127.0.0.1:0" if tcp else f"unixsock-stream/{network.socket_path}-{time.monotonic_ns()}"
    for key, value in {
        # by default, large messages go through shared memory whatever the transport
        "transport/shared_memory/enabled": not tcp,
        "mode": "peer",
        "listen/endpoints": [listen],
        "scouting/multicast/interface": "lo",
        "scouting/multicast/address": f"224.0.0.224:{network.port}",
    }.items():
        config.insert_json5(key, json.dumps(value))
    return config
