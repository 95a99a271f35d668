"""The handling of messages that arrive at a messenger."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from colugo.errors import DecodeError
from colugo.messenger.callback_thread import CallbackThread
from colugo.messenger.named_message import Envelope, Message, RecentIds, from_bytes
from colugo.patterns.streams.consuming.delivery import Delivery
from colugo.protocol.codecs import Codec
from colugo.protocol.streams.settlements import report_failure

_REMEMBERED = 10_000
_WORKING_S = 5.0
"""The interval at which the ack timeout of a message is extended while its callback runs."""

Callback = tuple[Callable[..., Any], int]
"""A function, and the number of its arguments: the payload, or payload and message."""


@dataclass(slots=True)
class ReceivedCounts:
    """The counters of received messages, as in `MessengerStats`."""

    handled: int = 0
    failed: int = 0
    duplicates: int = 0
    unwanted: int = 0
    malformed: int = 0
    undecodable: int = 0


class Receiving:
    """Finds the callback of each message and calls it on the messenger's thread.

    Args:
        worker: the thread.
        codec: the codec of payloads.
        report: called with a line of text about each message.
    """

    def __init__(self, worker: CallbackThread, codec: Codec, report: Callable[[str], None]) -> None:
        self.callbacks: dict[str, Callback] = {}
        self.counts = ReceivedCounts()
        self._worker = worker
        self._codec = codec
        self._report = report
        self._recent = RecentIds(_REMEMBERED)
        self._tried = RecentIds(_REMEMBERED)
        """Messages whose callback has raised; another stream, such as a relay's, does not know of it."""
        self._busy = False
        self._when_idle: Callable[[], None] | None = None

    async def on_published(self, data: Any) -> None:
        """Handle a message with `ack=0` of a publisher.

        Raises:
            DecodeError: if it is no message of a messenger.
            Exception: the callback's exception.
        """
        envelope = self._open(data)
        if envelope.name in self.callbacks:
            await self._call(envelope, redelivered=False)

    def when_settled(self, action: Callable[[], None]) -> None:
        """Call a function on the loop, as soon as the message in hand is settled."""
        if self._busy:
            self._when_idle = action
        else:
            action()

    async def on_delivery(self, data: Any, delivery: Delivery) -> None:
        """Handle a message of a stream, and settle it.

        Raises:
            DecodeError: if it is no message of a messenger.
            Exception: the callback's exception.
        """
        self._busy = True
        try:
            await self._deliver(self._open(data), delivery)
        except Exception as error:
            if not delivery.settled:
                delivery.fail(report_failure(error))
            raise
        finally:
            self._busy = False
            waiting, self._when_idle = self._when_idle, None
            if waiting is not None:
                waiting()

    async def _deliver(self, envelope: Envelope, delivery: Delivery) -> None:
        if envelope.id in self._recent:
            self.counts.duplicates += 1
        elif envelope.name not in self.callbacks:
            self.counts.unwanted += 1
            delivery.nack("this process has no subscription of its name any more")
            return
        elif envelope.ack:
            await self._call_and_extend(envelope, delivery)
            self._recent.add(envelope.id)
        elif not delivery.redelivered:
            self._recent.add(envelope.id)
            delivery.ack()
            await self._call(envelope, redelivered=False)
            return
        delivery.ack()

    async def _call_and_extend(self, envelope: Envelope, delivery: Delivery) -> None:
        """Call back, and extend the ack timeout meanwhile."""
        redelivered = delivery.redelivered or envelope.id in self._tried
        call = asyncio.ensure_future(self._call(envelope, redelivered=redelivered))
        try:
            while not (await asyncio.wait({call}, timeout=_WORKING_S))[0]:
                delivery.working()
        except asyncio.CancelledError:
            call.cancel()
            raise
        call.result()

    async def _call(self, envelope: Envelope, *, redelivered: bool) -> None:
        message = Message(envelope, self._decode(envelope), redelivered=redelivered)
        self._report(f"got {message}")
        try:
            await self._worker.call(self._run, message)
        except Exception:
            self.counts.failed += 1
            self._tried.add(envelope.id)
            raise
        self.counts.handled += 1

    def _run(self, message: Message) -> None:
        """Call the callback, on the messenger's thread."""
        subscription = self.callbacks.get(message.name)
        if subscription is None:
            raise LookupError(f"the subscription of {message.name!r} has ended")
        callback, count = subscription
        callback(*(message.payload, message)[:count])

    def _open(self, data: Any) -> Envelope:
        try:
            return from_bytes(data)
        except DecodeError:
            self.counts.malformed += 1
            raise

    def _decode(self, envelope: Envelope) -> Any:
        try:
            if envelope.codec == self._codec.name:
                return self._codec.unpack(envelope.payload, text=envelope.text)
        except DecodeError:
            self.counts.undecodable += 1
            raise
        self.counts.undecodable += 1
        raise DecodeError(
            f"the message {envelope.name!r} has the codec {envelope.codec!r}, this messenger "
            f"{self._codec.name!r}: give both the same codec="
        )
