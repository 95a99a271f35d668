"""zenoh, measured: a session in peer mode, with its own defaults but for what keeps it on loopback."""

import json
import threading
import time
from collections.abc import Callable

import zenoh


class _Sender:
    """A publisher, and the liveliness token by which others learn of it."""

    def __init__(self, session: zenoh.Session, topic: str) -> None:
        self._publisher = session.declare_publisher(topic)
        self._token = session.liveliness().declare_token(topic)

    def send(self, message: bytes) -> None:
        self._publisher.put(message)

    def close(self) -> None:
        self._token.undeclare()
        self._publisher.undeclare()


class _Receiver:
    """A subscriber, and one of liveliness tokens if it wants to learn of publishers."""

    def __init__(
        self,
        session: zenoh.Session,
        topic: str,
        on_message: Callable[[bytes], None],
        on_connect: Callable[[], None] | None,
    ) -> None:
        def token_changed(sample: zenoh.Sample) -> None:
            if on_connect is not None and sample.kind == zenoh.SampleKind.PUT:
                on_connect()

        self._subscriber = session.declare_subscriber(
            topic, lambda sample: on_message(sample.payload.to_bytes())
        )
        self._tokens = (
            session.liveliness().declare_subscriber(topic, token_changed, history=True)
            if on_connect is not None
            else None
        )

    def close(self) -> None:
        self._subscriber.undeclare()
        if self._tokens is not None:
            self._tokens.undeclare()


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


class ZenohPeer:
    """A session; the number of its network is the UDP port on which it scouts."""

    def __init__(self, network: int) -> None:
        self._session = zenoh.open(_on_loopback(network))

    def publisher(self, topic: str) -> _Sender:
        """Add a publisher."""
        return _Sender(self._session, topic)

    def subscriber(
        self, topic: str, on_message: Callable[[bytes], None], on_connect: Callable[[], None] | None = None
    ) -> _Receiver:
        """Add a subscriber."""
        return _Receiver(self._session, topic, on_message, on_connect)

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


def _on_loopback(port: int) -> zenoh.Config:
    config = zenoh.Config()
    for key, value in {
        "mode": "peer",
        "listen/endpoints": ["tcp/127.0.0.1:0"],
        "scouting/multicast/interface": "lo",
        "scouting/multicast/address": f"224.0.0.224:{port}",
    }.items():
        config.insert_json5(key, json.dumps(value))
    return config


make = ZenohPeer
