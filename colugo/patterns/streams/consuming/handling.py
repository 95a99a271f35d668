"""The calls of a consumer's callback, and the settlement of their messages."""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from colugo.errors import DecodeError
from colugo.net.runtime import Runtime
from colugo.patterns.base import ThrottledWarnings
from colugo.patterns.callbacks import Handler
from colugo.patterns.streams.consuming.delivery import Delivery, DeliverySource, ReceivedMessage
from colugo.protocol.codecs import Codec
from colugo.protocol.streams.deliveries import FLAG_REDELIVERED
from colugo.protocol.streams.settlements import Settlement, SettlementOutcome, report_failure
from colugo.protocol.streams.stream_message import FLAG_TEXT

_FAILURES = frozenset({SettlementOutcome.NACK, SettlementOutcome.REJECT})


@dataclass(slots=True)
class ConsumerCounts:
    """The counters of a consumer's callback; `ConsumerStats` explains them."""

    received: int = 0
    acknowledged: int = 0
    redelivered: int = 0
    failed: int = 0
    undecodable: int = 0


class CallbackRunner:
    """The steps before and after each call of the callback, common to all ways of calling it.

    With `auto_ack`, a return of the callback acknowledges its message.
    """

    def __init__(
        self, runtime: Runtime, handler: Handler, codec: Codec, *, auto_ack: bool, counts: ConsumerCounts
    ) -> None:
        self.runtime = runtime
        self.handler = handler
        self.counts = counts
        self._codec = codec
        self._auto_ack = auto_ack
        self._warnings = ThrottledWarnings(runtime)

    def prepare(
        self, item: ReceivedMessage, extend: Callable[[], None] | None = None
    ) -> tuple[Any, Delivery] | None:
        """Return the arguments of a call, or reject the message and return None if it does not decode.

        If the callback has a timeout of its own, `extend` extends that.
        """
        flags = item.flags
        redelivered = bool(flags & FLAG_REDELIVERED)
        delivery = Delivery(item, redelivered=redelivered, submit=self.submit, extend=extend)
        try:
            message = self._codec.unpack(item.payload, text=bool(flags & FLAG_TEXT))
        except DecodeError as error:
            self.undecodable(item, error)
            delivery.fail(report_failure(error))
            return None
        self.counts.received += 1
        self.counts.redelivered += redelivered
        return message, delivery

    def undecodable(self, item: ReceivedMessage, error: DecodeError) -> None:
        """Count and report a message that does not decode."""
        self.counts.undecodable += 1
        text = f"message {item.id} of {item.source.topic} does not decode, and is rejected"
        self._warnings.warn(item.source, text, error)

    def succeeded(self, delivery: Delivery) -> None:
        """Acknowledge the message of a call that has returned."""
        if self._auto_ack and not delivery.settled:
            delivery.ack()

    def raised(self, delivery: Delivery, error: BaseException) -> None:
        """Report an exception of the callback, and reject its message."""
        self.handler.failed(error, f" at message {delivery.id}, attempt {delivery.attempt}")
        if not delivery.settled:
            delivery.fail(report_failure(error))

    def submit(self, action: Callable[..., None], *args: Any) -> None:
        """Run a settlement on the node's thread, unless the node has stopped."""
        if not self.runtime.closed:
            self.runtime.submit(self._settle, action, *args)

    def _settle(self, action: Callable[..., None], *args: Any) -> None:
        if args and isinstance(args[0], Settlement):
            self.counts.failed += args[0].outcome in _FAILURES
        elif args:
            self.counts.acknowledged += 1
        action(*args)


class Handling:
    """The base of the ways to call the callback; this much fits one that blocks the loop."""

    def __init__(self, runner: CallbackRunner) -> None:
        self._runner = runner
        self._waiting: deque[ReceivedMessage] = deque()

    def open(self) -> None:
        """Begin to call; needs a running loop."""

    def put(self, items: Iterable[ReceivedMessage]) -> None:
        """Override to queue messages, in their order."""
        raise NotImplementedError

    def unstarted(self) -> list[ReceivedMessage]:
        """Return the messages that wait for the callback."""
        return list(self._waiting)

    def newly_started(self) -> list[ReceivedMessage]:
        """Return the messages in progress that have been started since the last call of this."""
        return []

    def withdraw(self, source: DeliverySource | None = None) -> list[ReceivedMessage]:
        """Remove unstarted messages of a stream, or all, and return them in their order."""
        return take_out(self._waiting, source)

    def stuck(self, now: float) -> bool:
        """Return True if no message can start, since each thread has exceeded `ack_timeout_ms`."""
        del now
        return False

    async def finish(self) -> None:
        """Override to return when no message is in progress."""
        raise NotImplementedError

    def close(self) -> None:
        """Override to call no more, and cancel tasks in progress."""
        raise NotImplementedError


def take_out(items: deque[ReceivedMessage], source: DeliverySource | None) -> list[ReceivedMessage]:
    """Remove and return the messages of a source, or all."""
    taken = [item for item in items if source is None or item.source is source]
    kept = [item for item in items if source is not None and item.source is not source]
    items.clear()
    items.extend(kept)
    return taken
