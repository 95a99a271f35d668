"""The delivery of a message to its handler, wherever the message comes from."""

from typing import Any, Protocol


class MessageDelivery(Protocol):
    """A delivered message and the methods that settle it, each at most once, from any thread.

    `Delivery`, that of streams, is one.
    """

    @property
    def id(self) -> str:
        """The message's id."""

    @property
    def key(self) -> str:
        """The message's key; "" for none."""

    @property
    def headers(self) -> dict[str, Any]:
        """The message's headers."""

    @property
    def attempt(self) -> int:
        """The number of this delivery attempt, from 1."""

    def ack(self) -> None:
        """Acknowledge the message."""

    def nack(self, reason: str = "nack", *, delay_ms: int | None = None) -> None:
        """Return the message, for another attempt after a delay in milliseconds if it has any left."""

    def reject(self, reason: str) -> None:
        """Make the message a dead letter at once."""

    def working(self) -> None:
        """Restart the message's timeout, since it needs more time."""
