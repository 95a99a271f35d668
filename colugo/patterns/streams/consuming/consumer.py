"""The consuming side of streams: a member of a consumer group."""

import asyncio
import contextlib
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from itertools import repeat
from typing import Any

import msgspec

from colugo.errors import ConfigurationError, FrameError
from colugo.net.runtime import Runtime
from colugo.patterns.base import Part, ThrottledWarnings, as_endpoints, check_count
from colugo.patterns.callbacks import Handler
from colugo.patterns.gate import Gate
from colugo.patterns.streams.consuming.consumer_link import ConsumerLink
from colugo.patterns.streams.consuming.consumer_links import ConsumerLinks
from colugo.patterns.streams.consuming.delivery import DeliverySource, ReceivedMessage
from colugo.patterns.streams.consuming.handling import CallbackRunner, ConsumerCounts, Handling
from colugo.patterns.streams.consuming.in_tasks import InTasks
from colugo.patterns.streams.consuming.on_loop import OnLoop
from colugo.protocol.codecs import resolve_codec
from colugo.protocol.description.stream_descriptions import ConsumerDescription
from colugo.protocol.frames import ID_BYTES
from colugo.protocol.streams.bindings import Bindings
from colugo.protocol.streams.deliveries import FLAG_REDELIVERED, Deliveries
from colugo.protocol.streams.joining import MAX_PREFETCH, Join, Joined
from colugo.protocol.streams.message_parts import check_group
from colugo.protocol.streams.settlements import Settlement, SettlementOutcome

DEFAULT_PREFETCH = 100
_MOST_SOURCES = 1000
_FINISH_S = 1.0
"""How long a consumer that closes waits for what its callback has begun."""


@dataclass(frozen=True, slots=True)
class ConsumerStats:
    """What a consumer has had.

    Attributes:
        received: messages handed to the callback, each time counted.
        acknowledged: of those, how many were acknowledged.
        redelivered: of those handed, how many a consumer of the group may have had before.
        duplicates: messages that came again though this consumer had acknowledged them, or still has them:
            they were not handed to the callback once more.
        failed: how many were given back: the callback raised, took too long, or said `nack()`.
        undecodable: messages that did not fit the codec; they are given back, too.
        malformed: frames that were not understood.
        waiting: messages that are here, and with which the callback has not begun.
        streams: how many streams are connected now.
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
    """Gets the messages of a topic's streams, as a member of a group; made by `Node.add_consumer`."""

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
        connect: Iterable[str] = (),
    ) -> None:
        super().__init__(runtime)
        consumer_id = os.urandom(ID_BYTES).hex()
        if check_count("prefetch", prefetch) > MAX_PREFETCH:
            raise ConfigurationError(f"prefetch is at most {MAX_PREFETCH}, not {prefetch}")
        check_count("concurrency", concurrency)
        self.bindings = Bindings(bindings).patterns
        self.group = f"({consumer_id})" if group is None else check_group(group)
        self._join = Join(
            consumer=consumer_id,
            group=self.group,
            named=group is not None,
            durable=durable,
            bindings=list(self.bindings),
            prefetch=prefetch,
            node=runtime.name,
        )
        self._codec = resolve_codec(codec)
        self._counts = ConsumerCounts()
        handler = Handler(runtime, callback, f"callback of the consumer of {topic}", least=1, most=2)
        if not auto_ack and handler.count == 1:
            raise ConfigurationError(
                "with auto_ack=False the callback takes (message, delivery), and says delivery.ack()"
            )
        calls = CallbackRunner(runtime, handler, self._codec, auto_ack=auto_ack, counts=self._counts)
        self._handling: Handling
        if executor or handler.is_coroutine:
            self._handling = InTasks(calls, concurrency=concurrency, executor=executor)
        elif concurrency > 1:
            raise ConfigurationError("concurrency= needs a coroutine function, or executor=True")
        else:
            self._handling = OnLoop(calls, self._codec, simple=handler.count == 1, prefetch=prefetch)
        self._links = ConsumerLinks(
            runtime,
            topic,
            as_endpoints(connect),
            join=lambda: self._join,
            on_connected=self._on_connected,
            on_lost=self._on_lost,
            on_joined=self._on_joined,
            on_refused=self._on_refused,
            on_deliveries=self._on_deliveries,
            on_malformed=self._on_malformed,
        )
        self.topic = topic
        self._sources: dict[bytes, DeliverySource] = {}
        self._gate = Gate(f"the consumer of {topic}")
        self._complaints = ThrottledWarnings(runtime)
        self._duplicates = self._malformed = 0
        self._timer: asyncio.TimerHandle | None = None
        self._quiet = self._aside = False
        runtime.when_open(self._open)

    @property
    def streams(self) -> int:
        """How many streams are connected, and have let this consumer in."""
        return self._gate.count

    @property
    def stats(self) -> ConsumerStats:
        """Counters so far."""
        counts = self._counts
        return ConsumerStats(
            received=counts.handed,
            acknowledged=counts.acknowledged,
            redelivered=counts.redelivered,
            duplicates=self._duplicates,
            failed=counts.failed,
            undecodable=counts.undecodable,
            malformed=self._malformed,
            waiting=len(self._handling.waiting()),
            streams=self.streams,
        )

    def describe(self) -> object:
        """Describe it for the node's description."""
        return ConsumerDescription.of(
            self.stats,
            topic=self.topic,
            group=self.group,
            bindings=list(self.bindings),
            prefetch=self._join.prefetch,
            codec=self._codec.name,
            links=[link.describe() for link in self._links.all],
        )

    async def ready(self, n: int = 1) -> None:
        """Return when n streams are connected.

        Args:
            n: how many.

        Raises:
            ClosedError: if the consumer is closed first.
        """
        self._check_thread()
        await self._gate.wait(n)

    def rebind(self, bindings: Iterable[str]) -> None:
        """Bind to other keys; from any thread.

        The bindings are the group's: all its members get by them. At streams with `ack="all"` they are for
        what is sent from now on, and what waits for the group goes on to wait for it (as when a queue of
        RabbitMQ is bound anew). At streams with `ack="any"`, where messages wait for anybody, they are for
        all that is kept, however long ago it was sent. What the callback has begun with goes on, and is not
        handed to it once more.

        Args:
            bindings: as of `Node.add_consumer`.

        Raises:
            ConfigurationError: if a binding breaks the rules.
            ClosedError: after the consumer has been closed.
        """
        patterns = Bindings(bindings).patterns
        self._check_open()
        self._runtime.submit(self._rebind, patterns)

    def quiesce(self) -> None:
        """Give back what nobody has begun with."""
        self._quiet = True
        self._give_back(self._handling.withdraw())

    async def finish(self) -> None:
        """Wait for what the callback has begun, a second at most."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_FINISH_S):
                await self._handling.finish()

    def _open(self) -> None:
        if not self._closed:
            self._handling.open()
            self._links.open()

    def _shut(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if not self._quiet:
            self.quiesce()
        self._handling.close()
        self._leave_all()
        self._links.close()
        self._gate.close()

    def _rebind(self, patterns: tuple[str, ...]) -> None:
        self.bindings = patterns
        self._join = msgspec.structs.replace(self._join, bindings=list(patterns))
        if self._closed or self._quiet:
            return
        if self._aside:
            return
        self._throw_away(self._handling.withdraw())
        at = {source.link: source for source in self._sources.values() if source.link is not None}
        served = {source.stream_id for source in at.values()}
        for link, source in at.items():  # also such as are not advertised any more, and are there still
            link.join(source.held)
        for link in self._links.connected:
            if (
                link not in at and link.stream_id not in served
            ):  # else the stream has let it in by another one
                link.join()
        self._count_streams()

    def _leave_all(self) -> None:
        """Leave the streams; what nobody has begun with goes back to them."""
        self._give_back(self._handling.withdraw())
        for source in self._sources.values():
            if source.link is not None:
                source.link.depart(source.held)
                source.link = None
        for link in self._links.connected:
            link.depart()
        self._count_streams()

    def _on_connected(self, link: ConsumerLink) -> None:
        if not self._aside and not self._quiet:
            link.join()

    def _on_joined(self, link: ConsumerLink, joined: Joined) -> None:
        before = self._sources.get(link.stream_id)
        if before is not None and _is_outdated(before, joined):
            if before.link is None:  # that other connection has been lost meanwhile
                link.join()
            return
        self._sources.pop(link.stream_id, None)
        if before is not None and _has_gone_back(before, joined):
            self._forget(before, joined)
            before = None
        source = DeliverySource(link.stream_id) if before is None else before
        source.joined_again = before is not None
        self._sources[link.stream_id] = source  # as the newest
        source.link = link
        source.topic = joined.topic
        source.run = joined.run
        source.admitted = joined.admitted
        source.node = link.peer.node
        source.ack_timeout_s = joined.ack_timeout_ms / 1000
        while len(self._sources) > _MOST_SOURCES:
            oldest = next(iter(self._sources))
            if self._sources[oldest].link is not None:
                break
            del self._sources[oldest]
        self._count_streams()
        if self._timer is None:
            self._keep_alive()

    def _forget(self, source: DeliverySource, joined: Joined) -> None:
        """The stream's store is an older one: what has come from it says nothing of what comes now."""
        self._runtime.logger.warning(
            "the stream %s has forgotten messages, up to number %d; it was started with number %s",
            joined.topic,
            source.newest,
            joined.last,
        )
        self._handling.withdraw(source)
        source.link = None

    def _on_refused(self, link: ConsumerLink, reason: str) -> None:
        self._runtime.logger.error("%s does not let the consumer of %s in: %s", link.peer, self.topic, reason)
        self._unlink(link)

    def _on_malformed(self, link: ConsumerLink, error: FrameError) -> None:
        self._malformed += 1
        self._complaints.warn("malformed", f"a message of {link.peer} is malformed", error)

    def _on_lost(self, link: ConsumerLink, reason: str) -> None:
        """What nobody has begun with comes again, to this consumer or another one."""
        del reason
        stream_id, link.stream_id = link.stream_id, b""
        source = self._unlink(link) or self._sources.get(stream_id)
        if source is None or source.link is not None or self._aside or self._quiet:
            return
        others = [one for one in self._links.connected if one.stream_id == source.stream_id]
        if others and not any(one.joining for one in others):
            others[0].join()  # the stream has let it in there before

    def _unlink(self, link: ConsumerLink) -> DeliverySource | None:
        """Enter that a connection is not used any more; the stream that it led to, if it was."""
        # not by the id, which a link that has left does not have any more
        source = next((one for one in self._sources.values() if one.link is link), None)
        if source is None:
            return None
        source.link = None
        source.held.difference_update(item.seq for item in self._handling.withdraw(source))
        self._count_streams()
        return source

    def _count_streams(self) -> None:
        links = [source.link for source in self._sources.values() if source.link is not None]
        self._gate.set(sum(not link.joining for link in links))

    def _on_deliveries(self, link: ConsumerLink, deliveries: Deliveries) -> None:
        source = self._sources.get(link.stream_id)
        if source is None or source.link is not link or link.joining:
            return
        _, seqs, sent_ns, attempts, flags, keys, headers, payloads = deliveries
        columns = zip(repeat(source), seqs, sent_ns, attempts, flags, keys, headers, payloads)
        items = list(map(partial(tuple.__new__, ReceivedMessage), columns))
        if source.joined_again or any(flag & FLAG_REDELIVERED for flag in flags):
            items = [item for item in items if not self._has_had(source, item)]
        if self._quiet:
            self._give_back(items)
            return
        source.held.update(item.seq for item in items)
        self._handling.put(items)

    def _step_aside(self) -> None:
        """Each thread is held by its message: let other members have the rest."""
        if self._aside:
            return
        self._aside = True
        self._runtime.logger.error(
            "the callback of the consumer of %s takes longer than ack_timeout_ms on each of its threads: it "
            "takes no more messages until one returns",
            self.topic,
        )
        self._leave_all()

    def _has_had(self, source: DeliverySource, item: ReceivedMessage) -> bool:
        """Whether a message that comes again has been handled here, or still is."""
        if item.seq in source.handled:
            source.acknowledge(item.seq)
        elif item.seq not in source.held:
            return False
        self._duplicates += 1
        return True

    def _throw_away(self, items: list[ReceivedMessage]) -> None:
        """What nobody will begin with comes back from its stream, which need not be told."""
        for item in items:
            item.source.held.discard(item.seq)

    def _give_back(self, items: list[ReceivedMessage]) -> None:
        for item in items:
            item.source.tell(Settlement(item.seq, SettlementOutcome.RETURN))

    def _keep_alive(self) -> None:
        """Say of messages that wait here that they are not lost; if nobody will begin, leave for a while.

        Once more of those that have been begun with, whose time begins only then.
        """
        if self._handling.stuck(asyncio.get_running_loop().time()):
            self._step_aside()
        elif self._aside:
            self._aside = False
            for link in self._links.connected:
                link.join()
        for item in (*self._handling.waiting(), *self._handling.begun()):
            if item.seq in item.source.held:
                item.source.tell(Settlement(item.seq, SettlementOutcome.WORKING))
        linked = [source for source in self._sources.values() if source.link is not None]
        for source in linked:
            source.tidy()
        shortest_s = min((source.ack_timeout_s for source in linked), default=30.0)
        self._timer = asyncio.get_running_loop().call_later(shortest_s / 3, self._keep_alive)


def _is_outdated(source: DeliverySource, joined: Joined) -> bool:
    """Whether a stream has let the consumer in by another connection since, whose answer was read first."""
    return joined.run is not None and joined.run == source.run and joined.admitted < source.admitted


def _has_gone_back(source: DeliverySource, joined: Joined) -> bool:
    """Whether a stream was started on a store that does not know of all that has come from it."""
    return joined.last is not None and joined.run != source.run and source.newest > joined.last
