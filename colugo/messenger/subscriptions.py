"""The subscriptions of a messenger: a callback for each name, and a consumer that is bound to the names."""

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from colugo.errors import DecodeError
from colugo.messenger.callback_thread import CallbackThread
from colugo.messenger.named_message import (
    GIVEN_TOPIC,
    TOPIC,
    Envelope,
    Message,
    RecentIds,
    from_bytes,
    passing_key,
)
from colugo.node import Node
from colugo.patterns.base import Part
from colugo.patterns.streams.consuming.delivery import Delivery
from colugo.protocol.codecs import Codec
from colugo.protocol.streams.bindings import Bindings, exact
from colugo.protocol.streams.settlements import report_failure

if TYPE_CHECKING:
    from colugo.patterns.streams.consuming.consumer import Consumer

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


class Subscriptions:
    """The names that have a callback, which is called on the messenger's thread.

    Args:
        node: has the consumer: a group of its own.
        codec: the codec of payloads.
        receive_from: the endpoint of the only stream to consume; None for all that are discovered.
        timeout_s: the longest time to wait for that stream, in seconds.
        report: called with a line of text about each message.
    """

    def __init__(
        self,
        node: Node,
        worker: CallbackThread,
        codec: Codec,
        *,
        receive_from: str | None,
        timeout_s: float,
        report: Callable[[str], None],
    ) -> None:
        self.callbacks: dict[str, Callback] = {}
        self.counts = ReceivedCounts()
        self._node = node
        self._worker = worker
        self._codec = codec
        self._receive_from = receive_from
        self._timeout_s = timeout_s
        self._report = report
        self._consumer: Consumer | None = None
        self._recent = RecentIds(_REMEMBERED)
        self._tried = RecentIds(_REMEMBERED)
        """Messages whose callback has raised; another stream, such as a relay's, does not know of it."""
        self._busy = False
        self._when_idle: Callable[[], None] | None = None
        """The binding that waits until the message in hand is settled."""

    def bind(self) -> None:
        """Bind to the names that have a callback now; on any thread but the node's.

        Raises:
            ConfigurationError: if there are too many.
            ClosedError: if the node does not run.
        """
        bindings = self.patterns()
        self._node.run(self._bind_to(bindings))
        # within a callback, the binding waits for the callback's end
        if bindings and self._receive_from and threading.current_thread() is not self._worker:
            self._node.run(self._joined())

    @property
    def parts(self) -> list[Part]:
        """Its sockets on the node."""
        return [] if self._consumer is None else [self._consumer]

    def patterns(self) -> tuple[str, ...]:
        """Return the bindings for the names; raise ConfigurationError if there are too many."""
        names = list(self.callbacks)
        keys = [*names, *map(passing_key, names)] if self._receive_from else names
        return Bindings(map(exact, keys)).patterns if keys else ()

    async def _bind_to(self, bindings: tuple[str, ...]) -> None:
        def bind() -> None:
            if not bindings:
                if self._consumer is not None:
                    self._consumer.close()
                self._consumer = None
            elif self._consumer is not None:
                self._consumer.rebind(bindings)
            else:
                self._consumer = self._make(bindings)

        if self._busy:
            self._when_idle = bind
        else:
            bind()

    def _make(self, bindings: tuple[str, ...]) -> "Consumer":
        return self._node.add_consumer(
            GIVEN_TOPIC if self._receive_from else TOPIC,
            self._on_delivery,
            bindings=bindings,
            durable=False,
            connect=[self._receive_from] if self._receive_from else [],
        )

    async def _joined(self) -> None:
        """Return when the relay knows the bindings, or after the timeout."""
        if self._consumer is None:  # made when a callback has returned
            return
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._consumer.ready()
        except TimeoutError:
            self._node.logger.warning("the relay at %s does not answer yet", self._receive_from)

    async def on_published(self, data: Any) -> None:
        """Handle a message with `ack=0` of a publisher."""
        envelope = self._open(data)
        if envelope.name in self.callbacks:
            await self._call(envelope, redelivered=False)

    async def _on_delivery(self, data: Any, delivery: Delivery) -> None:
        """Handle a message of a stream, and settle it."""
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

    def _run(self, message: Message) -> None:  # on the messenger's thread
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
