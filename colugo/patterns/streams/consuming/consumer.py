"""The consumer of streams: a member of a consumer group."""

import asyncio
import contextlib
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import msgspec

from colugo.errors import ConfigurationError
from colugo.net.runtime import Runtime
from colugo.patterns.base import Part, as_endpoints, check_count
from colugo.patterns.callbacks import Handler
from colugo.patterns.streams.consuming.consumer_sessions import ConsumerSessions
from colugo.patterns.streams.consuming.handling import CallbackRunner, ConsumerCounts, Handling
from colugo.patterns.streams.consuming.in_tasks import InTasks
from colugo.patterns.streams.consuming.on_loop import OnLoop
from colugo.protocol.codecs import resolve_codec
from colugo.protocol.description.stream_descriptions import ConsumerDescription
from colugo.protocol.frames import ID_BYTES
from colugo.protocol.streams.bindings import Bindings
from colugo.protocol.streams.joining import MAX_PREFETCH, Join
from colugo.protocol.streams.message_parts import check_group

DEFAULT_PREFETCH = 100
_FINISH_S = 1.0
"""The time that a closing consumer waits for messages in progress."""


@dataclass(frozen=True, slots=True)
class ConsumerStats:
    """The counters of a consumer.

    Attributes:
        received: messages passed to the callback, counted each time.
        acknowledged: messages acknowledged.
        redelivered: messages passed to the callback that a consumer of the group may have had before.
        duplicates: messages that came again though this consumer had acknowledged them, or still has them;
            the callback does not get them once more.
        failed: messages given back or rejected, since the callback raised, took too long, or called `nack()`
            or `reject()`.
        undecodable: messages that the codec could not decode; they are rejected, too.
        malformed: malformed frames.
        waiting: messages that wait here for the callback.
        streams: the number of streams connected now.
    """

    received: int
    acknowledged: int
    redelivered: int
    duplicates: int
    failed: int
    undecodable: int
    malformed: int
    waiting: int
    streams: int


class Consumer(Part):
    """A member of a consumer group at the streams of a topic; made by `Node.add_consumer`."""

    def __init__(
        self,
        runtime: Runtime,
        topic: str,
        callback: Callable[..., Any],
        *,
        group: str | None = None,
        bindings: Iterable[str] = ("#",),
        prefetch: int = DEFAULT_PREFETCH,
        durable: bool = True,
        codec: Any = None,
        auto_ack: bool = True,
        concurrency: int = 1,
        executor: bool = False,
        paused: bool = False,
        connect: Iterable[str] = (),
    ) -> None:
        super().__init__(runtime)
        consumer_id = os.urandom(ID_BYTES).hex()
        if check_count("prefetch", prefetch) > MAX_PREFETCH:
            raise ConfigurationError(f"prefetch must be at most {MAX_PREFETCH}, not {prefetch}")
        check_count("concurrency", concurrency)
        self.bindings = Bindings(bindings).patterns
        self.group = f"({consumer_id})" if group is None else check_group(group)
        join_request = Join(
            consumer=consumer_id,
            group=self.group,
            named=group is not None,
            durable=durable,
            bindings=list(self.bindings),
            prefetch=0 if paused else prefetch,
            node=runtime.name,
        )
        self._prefetch = prefetch
        self._codec = resolve_codec(codec)
        self._counts = ConsumerCounts()
        handler = Handler(runtime, callback, f"callback of the consumer of {topic}", least=1, most=2)
        if not auto_ack and handler.count == 1:
            raise ConfigurationError(
                "with auto_ack=False the callback must take (message, delivery) and call delivery.ack()"
            )
        runner = CallbackRunner(runtime, handler, self._codec, auto_ack=auto_ack, counts=self._counts)
        self._handling: Handling
        if executor or handler.is_coroutine:
            self._handling = InTasks(runner, concurrency=concurrency, executor=executor)
        elif concurrency > 1:
            raise ConfigurationError("concurrency= needs a coroutine function, or executor=True")
        else:
            self._handling = OnLoop(runner, self._codec, simple=handler.count == 1, prefetch=prefetch)
        self._sessions = ConsumerSessions(runtime, topic, as_endpoints(connect), join_request, self._handling)
        self.topic = topic
        runtime.when_open(self._open)

    @property
    def streams(self) -> int:
        """The number of streams that are connected, and have admitted this consumer."""
        return self._sessions.gate.count

    @property
    def stats(self) -> ConsumerStats:
        """The counters so far."""
        counts = self._counts
        return ConsumerStats(
            received=counts.received,
            acknowledged=counts.acknowledged,
            redelivered=counts.redelivered,
            duplicates=self._sessions.duplicates,
            failed=counts.failed,
            undecodable=counts.undecodable,
            malformed=self._sessions.malformed,
            waiting=len(self._handling.unstarted()),
            streams=self.streams,
        )

    def describe(self) -> object:
        """Return the description for introspection."""
        return ConsumerDescription.of(
            self.stats,
            topic=self.topic,
            group=self.group,
            bindings=list(self.bindings),
            prefetch=self._sessions.join_request.prefetch,
            codec=self._codec.name,
            links=[link.describe() for link in self._sessions.all],
        )

    async def ready(self, n: int = 1) -> None:
        """Return when n streams are connected.

        Args:
            n: the number of streams.

        Raises:
            ClosedError: if the consumer is closed first.
        """
        self._check_thread()
        await self._sessions.gate.wait(n)

    def resume(self) -> None:
        """Take messages, after `paused=True`; callable from any thread. A no-op if it is not paused.

        Raises:
            ClosedError: after the consumer has been closed.
        """
        self._check_open()
        self._runtime.submit(self._resume)

    def rebind(self, bindings: Iterable[str]) -> None:
        """Bind the group to other keys; callable from any thread.

        The bindings belong to the group, and so apply to all its members. At streams with `ack="all"` they
        apply to messages sent from now on; messages that wait for the group keep waiting for it, as when you
        bind a queue of RabbitMQ anew. At streams with `ack="any"`, where messages wait for any group, they
        apply to all messages kept, however old. Messages in progress are not interrupted, and not delivered
        again.

        Args:
            bindings: patterns of keys, as of `Node.add_consumer`.

        Raises:
            ConfigurationError: if a binding is invalid.
            ClosedError: after the consumer has been closed.
        """
        patterns = Bindings(bindings).patterns
        self._check_open()
        self._runtime.submit(self._rebind, patterns)

    def quiesce(self) -> None:
        """Return unstarted messages to the streams, and accept no more."""
        self._sessions.drain()

    async def finish(self) -> None:
        """Wait for messages in progress, for a second at most."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_FINISH_S):
                await self._handling.finish()

    def _open(self) -> None:
        if not self._closed:
            self._handling.open()
            self._sessions.open()

    def _shut(self) -> None:
        self._sessions.drain()
        self._handling.close()
        self._sessions.close()

    def _resume(self) -> None:
        request = self._sessions.join_request
        if not request.prefetch:
            self._sessions.rejoin(msgspec.structs.replace(request, prefetch=self._prefetch))

    def _rebind(self, patterns: tuple[str, ...]) -> None:
        self.bindings = patterns
        self._sessions.rejoin(msgspec.structs.replace(self._sessions.join_request, bindings=list(patterns)))
