"""What a library has to offer to be measured."""

from collections.abc import Callable
from typing import Protocol


class Part(Protocol):
    """Something of a peer that can be closed on its own, on the peer's thread."""

    def close(self) -> None:
        """Take it away."""


class Sender(Part, Protocol):
    """Sends the messages of one topic."""

    def send(self, message: bytes) -> None:
        """Send to whoever is connected."""


class Peer(Protocol):
    """One participant of a network: made, furnished, started, closed.

    Making it takes a number from 1 to 65535 which tells its network from all others on this host. Each
    library does the work of starting where its users would meet it: in the making or in `start`.
    Callbacks come on any thread. Nothing a peer sends may leave loopback.
    """

    def publisher(self, topic: str) -> Sender:
        """Add a publisher, of which others can learn."""

    def subscriber(
        self, topic: str, on_message: Callable[[bytes], None], on_connect: Callable[[], None] | None = None
    ) -> Part:
        """Add a subscriber; `on_connect` is called when it learns of a publisher of the topic."""

    def repeat(self, delay_ms: int, action: Callable[[], None]) -> Part:
        """Call back at a fixed rate until it is closed."""

    def call(self, action: Callable[[], None]) -> None:
        """Call back soon, on the thread where the library's users call it."""

    def start(self) -> None:
        """Return when it takes part."""

    def close(self) -> None:
        """Leave the network."""
