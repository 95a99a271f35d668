"""The interface that a library implements to be measured.

A process makes its peer on its main thread and tells it what to do from there; the library works on
threads of its own. Callbacks come on any thread.
"""

from collections.abc import Callable, Iterator
from typing import Protocol

OnMessage = Callable[[bytes], None]
REQUEST_TIMEOUT_S = 2
"""Each request has it, where a library knows time limits."""


class Part(Protocol):
    """Something of a peer that can be closed on its own, by `Peer.call`."""

    def close(self) -> None:
        """Take it away."""


class Publisher(Part, Protocol):
    """Sends the messages of one topic, none of which may be lost."""

    def send_all(self, message: bytes, count: int) -> None:
        """Send a message so many times, as fast as the library does without loss; from the main thread."""

    def pace(self, make: Callable[[], bytes], ticks: int, per_tick: int) -> None:
        """Send so many messages a millisecond, each made when it is its turn; from the main thread.

        Args:
            make: makes a message.
            ticks: how many milliseconds.
            per_tick: messages of each.
        """


class Peer(Protocol):
    """One participant of a network: made, furnished, started, closed.

    It is made of its Network. Each library does the work of starting where its users would meet it: in
    the making or in `start`. Nothing a peer sends may leave loopback.
    """

    def publisher(self, topic: str) -> Publisher:
        """Add a publisher; may come after the start."""

    def subscriber(self, topic: str, on_message: OnMessage) -> Part:
        """Add a subscriber; may come after the start."""

    def start(self) -> None:
        """Return when it takes part."""

    def close(self) -> None:
        """Leave the network."""


class RoundTrips(Protocol):
    """Asks a server; from the main thread."""

    def one_by_one(self, message: bytes, on_reply: OnMessage, count: int) -> list[int]:
        """Ask so many times, each time when the reply before has come.

        Returns:
            How long each took, in nanoseconds.
        """

    def keep_in_flight(self, message: bytes, on_reply: OnMessage, count: int, in_flight: int) -> None:
        """Ask so many times, with so many requests unanswered at any time; return when all have ended."""


class RequestPeer(Peer, Protocol):
    """One that knows requests and replies."""

    def server(self, topic: str) -> Part:
        """Add a server that answers every request with what it holds."""

    def client(self, topic: str) -> RoundTrips:
        """Add a client, and return when it can ask."""


class StreamProducer(Protocol):
    """Sends messages that are kept until they have been acknowledged; from the main thread."""

    def ready(self) -> None:
        """Return when messages can be sent; after the start."""

    def send_confirmed(self, messages: Iterator[bytes]) -> None:
        """Send messages, with the given number unconfirmed at any time; return when all are confirmed."""


class StreamConsumer(Protocol):
    """Takes messages and acknowledges each, one by one or several at once, as is quicker."""

    def ready(self) -> None:
        """Return when it gets messages; after the start."""


class StreamPeer(Protocol):
    """One that knows messages that are stored, and acknowledged when they have been handled."""

    def producer(self, unconfirmed: int, *, stored: bool) -> StreamProducer:
        """Add a producer; before the start.

        Args:
            unconfirmed: how many messages it has unconfirmed at any time.
            stored: whether they are in a file, or in memory only.
        """

    def consumer(
        self, prefetch: int, take: Callable[[bytes], bool], finished: Callable[[], None]
    ) -> StreamConsumer:
        """Add a consumer; before the start.

        Args:
            prefetch: how many messages it may have unacknowledged.
            take: called with each; tells whether all that are expected have come.
            finished: called when they have, and have been acknowledged as far as the consumer can know.
        """

    def start(self) -> None:
        """Return when it takes part."""

    def close(self) -> None:
        """Leave."""


class FloodProducer(StreamProducer, Protocol):
    """One that bounds what is under way by itself."""

    def send_all(self, messages: Iterator[bytes]) -> None:
        """Send them as fast as they come; return when all have been acknowledged."""


class Announcer(Part, Protocol):
    """A publisher as it comes, of which others can learn."""

    def send(self, message: bytes) -> object:
        """Send to all connected peers, on the thread of `DiscoveringPeer.call`."""


class DiscoveringPeer(Peer, Protocol):
    """One that tells who has come."""

    def announcer(self, topic: str) -> Announcer:
        """Add a publisher that watchers learn of; may come after the start."""

    def watcher(self, topic: str, on_connect: Callable[[], None]) -> Part:
        """Add a subscriber that does nothing but learn of the topic's publishers."""

    def repeat(self, delay_ms: int, action: Callable[[], None]) -> Part:
        """Call back at a fixed rate until it is closed."""

    def call(self, action: Callable[[], None]) -> None:
        """Call back soon, on the thread where the library's users call it."""
