"""The receiving side of publish/subscribe."""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from colugo.errors import ConfigurationError, DecodeError
from colugo.net.runtime import Runtime
from colugo.patterns.base import Part, as_endpoints, check_count
from colugo.patterns.callbacks import Handler, optional_handler
from colugo.patterns.gate import Gate
from colugo.patterns.pubsub.callback_queue import (
    DirectCallbacks,
    MessageInfo,
    Origin,
    QueuedCallbacks,
    as_info,
)
from colugo.patterns.pubsub.receiver import Receiver
from colugo.protocol.advertisement import Advertisement
from colugo.protocol.codecs import resolve_codec
from colugo.protocol.description.socket_descriptions import SubscriberDescription
from colugo.protocol.pubsub.sequence_ledger import SequenceLedger
from colugo.protocol.topics import check_topic, is_pattern

DEFAULT_QUEUE = 1000


@dataclass(frozen=True, slots=True)
class SubscriptionStats:
    """The counters of a subscriber for one publisher.

    Attributes:
        received: messages received.
        lost: messages that were sent after the subscriber had joined, and were not received.
        conflated: messages that a newer one has replaced, because the publisher conflates.
        duplicates: messages that were received again, and left out.
    """

    received: int
    lost: int
    conflated: int
    duplicates: int


@dataclass(frozen=True, slots=True)
class SubscriberStats:
    """The counters of a subscriber.

    Attributes:
        received: messages delivered to the callback or the queue.
        dropped: messages among them that the full queue has dropped, the oldest first.
        undecodable: messages that the codec could not decode.
        malformed: frames that do not have the wire format.
        unknown: messages of publishers that are not known, or no longer.
        publishers: publishers that are connected now.
        lost: messages that were lost, of all publishers, including those that are gone.
        conflated: messages that newer ones have replaced, because their publishers conflate.
        duplicates: messages that were received again, and left out.
        by_publisher: the same counters for each publisher that is known now.
    """

    received: int
    dropped: int
    undecodable: int
    malformed: int
    unknown: int
    publishers: int
    lost: int
    conflated: int
    duplicates: int
    by_publisher: Mapping[Advertisement, SubscriptionStats]


class Subscriber(Part):
    """The receiving side of a topic, or of all topics of a pattern; made by `Node.add_subscriber`.

    Messages go to the callback. Without one, iterate: `async for message in subscriber`.
    """

    def __init__(
        self,
        runtime: Runtime,
        topic: str,
        callback: Callable[..., Any] | None = None,
        on_connect: Callable[..., Any] | None = None,
        *,
        codec: Any = None,
        on_disconnect: Callable[..., Any] | None = None,
        on_error: Callable[..., Any] | None = None,
        on_loss: Callable[..., Any] | None = None,
        queue: int = DEFAULT_QUEUE,
        batch: bool = False,
        executor: bool = False,
        copy: bool = True,
        connect: Iterable[str] = (),
    ) -> None:
        check_count("queue", queue)
        self.topic = topic if is_pattern(topic) else check_topic(topic)
        super().__init__(runtime)
        handler = (
            None if callback is None else Handler(runtime, callback, f"callback of {topic}", least=1, most=2)
        )
        _check_options(topic, handler, batch=batch, executor=executor)
        self._gate = Gate(f"the subscriber of {topic}")
        handlers = _Handlers(
            self._gate,
            optional_handler(runtime, on_connect, f"on_connect of {topic}", most=1),
            optional_handler(runtime, on_disconnect, f"on_disconnect of {topic}", most=2),
            optional_handler(runtime, on_error, f"on_error of {topic}", most=2),
            optional_handler(runtime, on_loss, f"on_loss of {topic}", most=2),
        )
        self._iterated = handler is None
        self._queue: DirectCallbacks | QueuedCallbacks
        if handler is not None and not handler.is_coroutine and not executor:
            self._queue = DirectCallbacks(runtime, handler, batch=batch)
        else:
            self._queue = QueuedCallbacks(
                runtime,
                handler,
                limit=queue,
                batch=batch,
                executor=executor,
                on_room=self._resume,
            )
        self._receiver = Receiver(
            runtime,
            topic,
            as_endpoints(connect),
            resolve_codec(codec),
            self._queue,
            listener=handlers,
            views=not copy,
        )
        runtime.when_open(self._open)

    @property
    def publishers(self) -> list[Advertisement]:
        """The publishers that are connected now."""
        return self._receiver.publishers

    @property
    def stats(self) -> SubscriberStats:
        """The counters so far."""
        receiver = self._receiver
        total = receiver.total()
        return SubscriberStats(
            received=receiver.received,
            dropped=self._queue.dropped,
            undecodable=receiver.undecodable,
            malformed=receiver.malformed,
            unknown=receiver.unknown,
            publishers=self._gate.count,
            lost=total.lost,
            conflated=total.conflated,
            duplicates=total.duplicates,
            by_publisher={peer: _stream_stats(ledger) for peer, ledger in receiver.ledgers().items()},
        )

    def describe(self) -> object:
        """Describe it for the node's description."""
        queue, limit = self._queue.waiting
        return SubscriberDescription.of(
            self.stats,
            topic=self.topic,
            reader=self._receiver.subscriber_id.hex(),
            codec=self._receiver.codec,
            queue=queue,
            queue_limit=limit,
            links=self._receiver.describe_links(),
        )

    async def ready(self, n: int = 1) -> None:
        """Wait until n publishers are connected, whose messages arrive from then on.

        Args:
            n: the number of publishers.

        Raises:
            ClosedError: if the node stops meanwhile.
            LifecycleError: on another thread than the node's; there, use `node.run(…)`.
        """
        self._check_thread()
        await self._gate.wait(n)

    def __aiter__(self) -> Self:
        self._check_iterable()
        return self

    async def __anext__(self) -> Any:
        return (await self._next())[0]

    async def with_info(self) -> AsyncIterator[tuple[Any, MessageInfo]]:
        """Iterate over pairs of message and `MessageInfo`."""
        self._check_iterable()
        while True:
            try:
                message, origin, sequence = await self._next()
            except StopAsyncIteration:
                return
            yield message, as_info(origin, sequence)

    def _shut(self) -> None:
        """Leave all publishers; the iteration ends after the messages that wait already."""
        self._receiver.close()
        self._gate.close()
        self._queue.close()

    def _check_iterable(self) -> None:
        if not self._iterated:
            raise ConfigurationError(f"the subscriber of {self.topic} has a callback; omit it to iterate")

    async def _next(self) -> tuple[Any, Origin, int | None]:
        self._check_thread()
        assert isinstance(self._queue, QueuedCallbacks)
        item: tuple[Any, Origin, int | None] = await self._queue.inbox.get()
        return item

    def _open(self) -> None:
        if not self._closed:
            self._queue.open()
            self._receiver.open()

    def _resume(self) -> None:
        self._receiver.resume()


@dataclass(frozen=True, slots=True)
class _Handlers:
    """The user's handlers of one subscriber, and the gate of those who wait for publishers."""

    gate: Gate
    connect: Handler | None
    disconnect: Handler | None
    error: Handler | None
    loss: Handler | None

    def on_connected(self, peer: Advertisement) -> None:
        """Count a connected publisher."""
        self.gate.set(self.gate.count + 1)
        if self.connect is not None:
            self.connect.run(peer)

    def on_disconnected(self, peer: Advertisement, reason: str) -> None:
        """Count a publisher less."""
        self.gate.set(self.gate.count - 1)
        if self.disconnect is not None:
            self.disconnect.run(peer, reason)

    def on_loss(self, info: MessageInfo, count: int) -> None:
        """Report lost messages."""
        if self.loss is not None:
            self.loss.run(info, count)

    def on_undecodable(self, error: DecodeError, info: MessageInfo) -> None:
        """Report a message that does not decode."""
        if self.error is not None:
            self.error.run(error, info)


def _stream_stats(ledger: SequenceLedger) -> SubscriptionStats:
    return SubscriptionStats(ledger.received, ledger.lost, ledger.conflated, ledger.duplicates)


def _check_options(topic: str, handler: Handler | None, *, batch: bool, executor: bool) -> None:
    if handler is None and (batch or executor):
        raise ConfigurationError(f"batch= and executor= of the subscriber of {topic} need a callback")
    if handler is not None and handler.is_coroutine and executor:
        raise ConfigurationError(
            f"executor=True is for plain functions: the callback of {topic} is a coroutine function"
        )
