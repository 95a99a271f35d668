"""What a messenger does with messages that arrive."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from colugo.errors import DecodeError
from colugo.messenger.callback_thread import CallbackThread
from colugo.messenger.named_message import Envelope, Message, from_bytes
from colugo.messenger.recent import Recent
from colugo.patterns.streams.consuming.delivery import Delivery
from colugo.protocol.codecs import Codec
from colugo.protocol.streams.settlements import report_failure

_REMEMBERED = 10_000
_WORKING_S = 5.0
"""How often a stream is told that a callback is still at work."""

Callback = tuple[Callable[..., Any], int]
"""A function, and how many arguments it takes: the payload, or the message, too."""


@dataclass(slots=True)
class ReceivedEnvelope:
    """What has arrived.

    Attributes:
        handled: messages that a callback has returned from.
        failed: calls of callbacks that raised.
        duplicates: messages that had been handled here before, and were not handed over again.
        unwanted: messages of names that nobody has subscribed to.
        malformed: what is no message, or was changed on its way.
        undecodable: messages whose payload is of another codec.
    """

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
        codec: of payloads.
        say: tells what happens, if it is wanted.
    """

    def __init__(self, worker: CallbackThread, codec: Codec, say: Callable[[str], None]) -> None:
        self.callbacks: dict[str, Callback] = {}
        self.counts = ReceivedEnvelope()
        self._worker = worker
        self._codec = codec
        self._say = say
        self._recent = Recent(_REMEMBERED)
        self._tried = Recent(_REMEMBERED)
        """On which a callback has raised: another stream, such as a relay's, does not know."""
        self._busy = False
        self._due: Callable[[], None] | None = None

    async def on_published(self, data: Any) -> None:
        """Take a message that goes to whoever listens.

        Raises:
            Exception: what the callback raised.
        """
        envelope = self._open(data)
        if envelope.name in self.callbacks:
            await self._call(envelope, redelivered=False)

    def when_settled(self, action: Callable[[], None]) -> None:
        """Do it, on the loop, when it has been said what has become of the message that is being handled."""
        if self._busy:
            self._due = action
        else:
            action()

    async def on_delivery(self, data: Any, delivery: Delivery) -> None:
        """Take a message of a stream, and say what has become of it.

        Raises:
            DecodeError: if that is no message of ours.
            Exception: what the callback raised.
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
            due, self._due = self._due, None
            if due is not None:
                due()

    async def _deliver(self, envelope: Envelope, delivery: Delivery) -> None:
        if envelope.id in self._recent:
            self.counts.duplicates += 1
        elif envelope.name not in self.callbacks:
            self.counts.unwanted += 1
            delivery.nack("nobody in this process has subscribed to it any more")
            return
        elif envelope.ack:
            await self._call_patiently(envelope, delivery)
            self._recent.add(envelope.id)
        elif not delivery.redelivered:
            self._recent.add(envelope.id)
            delivery.ack()
            await self._call(envelope, redelivered=False)
            return
        delivery.ack()

    async def _call_patiently(self, envelope: Envelope, delivery: Delivery) -> None:
        """Call back, and tell the stream meanwhile that this goes on."""
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
        self._say(f"got {message}")
        try:
            await self._worker.call(self._run, message)
        except Exception:
            self.counts.failed += 1
            self._tried.add(envelope.id)
            raise
        self.counts.handled += 1

    def _run(self, message: Message) -> None:
        """On the messenger's thread."""
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
