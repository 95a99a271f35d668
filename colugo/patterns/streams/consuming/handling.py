"""Handing messages of streams to a consumer's callback, and saying what has become of them."""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from colugo.errors import DecodeError
from colugo.net.runtime import Runtime
from colugo.patterns.base import ThrottledWarnings
from colugo.patterns.callbacks import Handler
from colugo.patterns.streams.consuming.delivery import Delivery, DeliverySource, ReceivedMessage
from colugo.protocol.codecs import Codec
from colugo.protocol.streams.deliveries import FLAG_REDELIVERED
from colugo.protocol.streams.settlements import Settlement, SettlementOutcome, report_failure
from colugo.protocol.streams.stream_message import FLAG_TEXT


@dataclass(slots=True)
class ConsumerCounts:
    """What a consumer has had.

    Attributes:
        handed: messages handed to the callback, each time counted.
        acknowledged: of those, how many were acknowledged.
        redelivered: of those handed, how many a consumer of the group may have had before.
        failed: how many were given back: the callback raised, took too long, or said so.
        undecodable: messages that did not fit the codec.
    """

    handed: int = 0
    acknowledged: int = 0
    redelivered: int = 0
    failed: int = 0
    undecodable: int = 0


class CallbackRunner:
    """What one call of the callback is made of, however it is run.

    Args:
        runtime: the node's.
        handler: the callback.
        codec: for messages.
        auto_ack: whether returning acknowledges.
        counts: what is counted.
    """

    def __init__(
        self, runtime: Runtime, handler: Handler, codec: Codec, *, auto_ack: bool, counts: ConsumerCounts
    ) -> None:
        self.runtime = runtime
        self.handler = handler
        self.counts = counts
        self._codec = codec
        self._auto_ack = auto_ack
        self._complaints = ThrottledWarnings(runtime)

    def prepare(self, item: ReceivedMessage) -> tuple[Any, Delivery] | None:
        """The arguments of a call; None if the message cannot be decoded, which has been said then."""
        flags = item.flags
        redelivered = bool(flags & FLAG_REDELIVERED)
        delivery = Delivery(item, redelivered=redelivered, submit=self.submit)
        try:
            message = self._codec.unpack(item.payload, text=bool(flags & FLAG_TEXT))
        except DecodeError as error:
            self.undecodable(item, error)
            delivery.fail(report_failure(error))
            return None
        self.counts.handed += 1
        self.counts.redelivered += redelivered
        return message, delivery

    def undecodable(self, item: ReceivedMessage, error: DecodeError) -> None:
        """A message does not fit the codec: whoever has given the wrong one sees nothing else of it."""
        self.counts.undecodable += 1
        text = f"message {item.id} of {item.source.topic} cannot be decoded, and is given back"
        self._complaints.warn(item.source, text, error)

    def succeeded(self, delivery: Delivery) -> None:
        """The callback has returned."""
        if self._auto_ack and not delivery.settled:
            delivery.ack()

    def raised(self, delivery: Delivery, error: BaseException) -> None:
        """The callback has raised."""
        self.handler.failed(error, f" at message {delivery.id}, try {delivery.attempt}")
        if not delivery.settled:
            delivery.fail(report_failure(error))

    def submit(self, action: Callable[..., None], *args: Any) -> None:
        """Say it on the node's thread; after its end, nobody listens."""
        if not self.runtime.closed:
            self.runtime.submit(self._say, action, *args)

    def _say(self, action: Callable[..., None], *args: Any) -> None:
        if args and isinstance(args[0], Settlement):
            self.counts.failed += args[0].outcome is SettlementOutcome.NACK
        elif args:
            self.counts.acknowledged += 1
        action(*args)


class Handling(Protocol):
    """One way of calling back."""

    def open(self) -> None:
        """Begin, on the loop."""

    def put(self, items: Iterable[ReceivedMessage]) -> None:
        """Hand over messages, in their order."""

    def waiting(self) -> list[ReceivedMessage]:
        """Messages with which nobody has begun."""

    def begun(self) -> list[ReceivedMessage]:
        """Messages that are being handled, and were not when this was asked the last time."""

    def withdraw(self, source: DeliverySource | None = None) -> list[ReceivedMessage]:
        """Let nobody begin with what waits.

        Args:
            source: only what has come from this one; None for all.

        Returns:
            What had waited, in its order.
        """

    def stuck(self, now: float) -> bool:
        """Whether nothing can be begun, since all that was begun takes longer than its stream allows."""

    async def finish(self) -> None:
        """Return when nothing that was begun is under way."""

    def close(self) -> None:
        """End; who is at work is cancelled."""


def take_out(items: deque[ReceivedMessage], source: DeliverySource | None) -> list[ReceivedMessage]:
    """Take those of a source, or all, out of what waits."""
    taken = [item for item in items if source is None or item.source is source]
    kept = [item for item in items if source is not None and item.source is not source]
    items.clear()
    items.extend(kept)
    return taken
