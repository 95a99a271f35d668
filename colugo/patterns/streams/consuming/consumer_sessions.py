"""The sessions of a consumer at the streams of its topic."""

import asyncio
from functools import partial
from itertools import repeat

from colugo.errors import FrameError
from colugo.net.runtime import Runtime
from colugo.patterns.base import ThrottledWarnings
from colugo.patterns.connections.peer_connections import PeerConnections
from colugo.patterns.gate import Gate
from colugo.patterns.streams.consuming.consumer_link import ConsumerLink
from colugo.patterns.streams.consuming.delivery import DeliverySource, ReceivedMessage
from colugo.patterns.streams.consuming.handling import Handling
from colugo.protocol.advertisement import Advertisement, SocketKind
from colugo.protocol.streams.deliveries import FLAG_REDELIVERED, Deliveries
from colugo.protocol.streams.joining import Join, Joined
from colugo.protocol.streams.settlements import Settlement, SettlementOutcome

_MAX_SOURCES = 1000


class ConsumerSessions(PeerConnections[ConsumerLink]):
    """The links of a consumer to streams, and its sessions there.

    Joins each stream, passes its messages on, and keeps unsettled ones from timing out. A stream counts
    one connection of a consumer at a time as its session, the one that joined last.

    Attributes:
        join_request: the request by which the consumer joins its group.
        gate: the count of streams that have admitted the consumer.
        duplicates: the number of messages that came again, acknowledged before or still unsettled.
        malformed: the number of malformed frames.
    """

    def __init__(
        self, runtime: Runtime, topic: str, given: list[str], join_request: Join, handling: Handling
    ) -> None:
        super().__init__(runtime, SocketKind.STREAM, topic, given)
        self._topic = topic
        self._handling = handling
        self._sources: dict[bytes, DeliverySource] = {}
        self._warnings = ThrottledWarnings(runtime)
        self._timer: asyncio.TimerHandle | None = None
        self._draining = self._suspended = False
        self.join_request = join_request
        self.gate = Gate(f"the consumer of {topic}")
        self.duplicates = self.malformed = 0

    def rejoin(self, join_request: Join) -> None:
        """Join all streams again, with other bindings or another prefetch."""
        self.join_request = join_request
        if self._draining or self._suspended:
            return
        _forget(self._handling.withdraw())
        joined = {source.link: source for source in self._sources.values() if source.link is not None}
        served = {source.stream_id for source in joined.values()}
        for link, source in joined.items():  # including connections to streams that are no longer advertised
            link.join(source.unsettled)
        for link in self.connected:
            # a served stream has admitted the consumer over another connection
            if link not in joined and link.stream_id not in served:
                link.join()
        self._update_count()

    def drain(self) -> None:
        """Return unstarted messages, and accept no more."""
        self._draining = True
        _return_unstarted(self._handling.withdraw())

    def close(self) -> None:
        """Leave all streams and close the links."""
        if self._timer is not None:
            self._timer.cancel()
        self._leave_all()
        super().close()
        self.gate.close()

    def on_connected(self, connection: ConsumerLink) -> None:
        """Join the group at a stream."""
        super().on_connected(connection)
        if not self._suspended and not self._draining:
            connection.join()

    def on_lost(self, connection: ConsumerLink, reason: str) -> None:
        """End the link's session; the stream redelivers unstarted messages to any member."""
        super().on_lost(connection, reason)
        stream_id, connection.stream_id = connection.stream_id, b""
        source = self._end_session(connection) or self._sources.get(stream_id)
        if source is None or source.link is not None or self._suspended or self._draining:
            return
        others = [one for one in self.connected if one.stream_id == source.stream_id]
        if others and not any(one.joining for one in others):
            others[0].join()  # the stream has admitted the consumer there before

    def on_joined(self, link: ConsumerLink, joined: Joined) -> None:
        """Begin a session, unless the stream has answered on a newer connection."""
        before = self._sources.get(link.stream_id)
        if before is not None and before.is_newer_than(joined):
            if before.link is None:  # that connection has been lost meanwhile
                link.join()
            return
        self._sources.pop(link.stream_id, None)
        if before is not None and before.is_ahead_of(joined):
            self._reset(before, joined)
            before = None
        source = DeliverySource(link.stream_id) if before is None else before
        source.begin_session(link, joined, again=before is not None)
        self._sources[link.stream_id] = source  # as the newest
        while len(self._sources) > _MAX_SOURCES:
            oldest = next(iter(self._sources))
            if self._sources[oldest].link is not None:
                break
            del self._sources[oldest]
        self._update_count()
        if self._timer is None:
            self._keep_alive()

    def on_refused(self, link: ConsumerLink, reason: str) -> None:
        """Report that a stream has not admitted the consumer."""
        self._runtime.logger.error("%s refuses the consumer of %s: %s", link.peer, self._topic, reason)
        self._end_session(link)

    def on_malformed(self, link: ConsumerLink, error: FrameError) -> None:
        """Count and report a malformed frame."""
        self.malformed += 1
        self._warnings.warn("malformed", f"a message of {link.peer} is malformed", error)

    def on_deliveries(self, link: ConsumerLink, deliveries: Deliveries) -> None:
        """Pass messages to the callback, but for duplicates."""
        source = self._sources.get(link.stream_id)
        if source is None or source.link is not link or link.joining:
            return
        _, seqs, sent_ns, attempts, flags, keys, headers, payloads = deliveries
        columns = zip(repeat(source), seqs, sent_ns, attempts, flags, keys, headers, payloads)
        items = list(map(partial(tuple.__new__, ReceivedMessage), columns))
        if source.rejoined or any(flag & FLAG_REDELIVERED for flag in flags):
            items = [item for item in items if not self._is_duplicate(source, item)]
        if self._draining:
            _return_unstarted(items)
            return
        source.unsettled.update(item.seq for item in items)
        self._handling.put(items)

    def _make(self, peer: Advertisement, endpoint: str) -> ConsumerLink:
        return ConsumerLink(self._runtime, peer, endpoint, self)

    def _is_duplicate(self, source: DeliverySource, item: ReceivedMessage) -> bool:
        if item.seq in source.acknowledged:
            source.acknowledge(item.seq)
        elif item.seq not in source.unsettled:
            return False
        self.duplicates += 1
        return True

    def _reset(self, source: DeliverySource, joined: Joined) -> None:
        """Forget a stream whose store is older than this consumer's knowledge of it."""
        self._runtime.logger.warning(
            "the stream %s has lost messages: it restarted at number %s, after number %d was delivered",
            joined.topic,
            joined.last,
            source.newest,
        )
        self._handling.withdraw(source)
        source.link = None

    def _end_session(self, link: ConsumerLink) -> DeliverySource | None:
        # by the link, since one that has left its group has no stream id any more
        source = next((one for one in self._sources.values() if one.link is link), None)
        if source is None:
            return None
        source.link = None
        _forget(self._handling.withdraw(source))
        self._update_count()
        return source

    def _leave_all(self) -> None:
        _return_unstarted(self._handling.withdraw())
        for source in self._sources.values():
            if source.link is not None:
                source.link.leave_group(source.unsettled)
                source.link = None
        for link in self.connected:
            link.leave_group()
        self._update_count()

    def _update_count(self) -> None:
        links = [source.link for source in self._sources.values() if source.link is not None]
        self.gate.set(sum(not link.joining for link in links))

    def _suspend(self) -> None:
        """Leave the other messages to other members: a message blocks each thread."""
        if self._suspended:
            return
        self._suspended = True
        self._runtime.logger.error(
            "the callback of the consumer of %s takes longer than ack_timeout_ms on each of its threads: it "
            "gets no more messages until one returns",
            self._topic,
        )
        self._leave_all()

    def _keep_alive(self) -> None:
        """Extend the deadlines of unstarted messages; while the callback is stuck, leave the streams.

        Started messages are extended once more: their time begins with the callback.
        """
        if self._handling.stuck(asyncio.get_running_loop().time()):
            self._suspend()
        elif self._suspended:
            self._suspended = False
            for link in self.connected:
                link.join()
        for item in (*self._handling.unstarted(), *self._handling.newly_started()):
            if item.seq in item.source.unsettled:
                item.source.settle(Settlement(item.seq, SettlementOutcome.WORKING))
        linked = [source for source in self._sources.values() if source.link is not None]
        for source in linked:
            source.trim()
        shortest_s = min((source.ack_timeout_s for source in linked), default=30.0)
        self._timer = asyncio.get_running_loop().call_later(shortest_s / 3, self._keep_alive)


def _forget(items: list[ReceivedMessage]) -> None:
    """Forget unstarted messages that the stream takes back by itself."""
    for item in items:
        item.source.unsettled.discard(item.seq)


def _return_unstarted(items: list[ReceivedMessage]) -> None:
    for item in items:
        item.source.settle(Settlement(item.seq, SettlementOutcome.RETURN))
