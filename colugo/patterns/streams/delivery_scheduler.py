"""The scheduling of a stream's deliveries: from the sender, by way of the store, to the consumers."""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from typing import Protocol

from colugo.errors import ColugoError
from colugo.net.runtime import Runtime
from colugo.net.transport.turn import Turn
from colugo.patterns.streams.group import Deliveries, Ranges, StreamGroup
from colugo.patterns.streams.groups import Groups
from colugo.patterns.streams.intake import StreamLimits
from colugo.patterns.streams.retention import AckPolicy
from colugo.patterns.streams.transaction_writer import TransactionWriter
from colugo.patterns.streams.unrouted import UnroutedMessages
from colugo.protocol.streams.attempts import DeliveryRules, GroupMember, QueuedMessage
from colugo.protocol.streams.settlements import BY_RULES, Failure, Settle, Settlement, SettlementOutcome
from colugo.protocol.streams.stream_message import StreamMessage
from colugo.store import CommitOutcome, OpenedStore, Store, Transaction

_RECORD_IN_FLIGHT_S = 0.2
_FINISH_S = 5.0
_NACKED = Failure("nack")
_REJECTED = Failure("rejected")


class DeliveryTransport(Protocol):
    """The connections to consumers."""

    def deliver(self, member: GroupMember, entries: list[QueuedMessage]) -> None:
        """Send messages to a member: all first deliveries, or all redeliveries."""

    def ping(self, member: GroupMember) -> None:
        """Ask a member for a sign of life that has let an acknowledgement timeout pass."""


class DeliveryScheduler:
    """Writes messages, offers them to the groups, and delivers them.

    A message is delivered once it has been written; it is redelivered once that attempt has been written.

    Attributes:
        unknown: acknowledgements of messages that the consumer's group did not have in flight.
        dropped: messages dropped because of `max_messages` or `max_bytes`.
        expired: messages dropped because of `max_age_ms`.
    """

    def __init__(
        self,
        runtime: Runtime,
        store: Store,
        opened: OpenedStore,
        *,
        ack: AckPolicy,
        limits: StreamLimits,
        rules: DeliveryRules,
    ) -> None:
        self.rules = rules
        self.stream_id = opened.stream_id
        self._store = store
        self.writer = TransactionWriter(runtime, store, opened, limits=limits, listener=self)
        self.intake = self.writer.intake
        self.groups = Groups(
            runtime, store, opened, self.writer, ack=ack, rules=rules, schedule=self._schedule
        )
        self._retention = self.groups.retention
        self._read_ahead = self.groups.read_ahead
        self.dropped = self.expired = self.unknown = 0
        self._scheduled: dict[StreamGroup, None] = {}
        """Groups that may have something to deliver."""
        self._timed: dict[StreamGroup, None] = {}
        """Groups that may have a timeout or the end of a retry delay ahead."""
        self._turn = Turn(self._work)
        self._timer: asyncio.TimerHandle | None = None
        self._in_flight_timer: asyncio.TimerHandle | None = None
        self._age_timer: asyncio.TimerHandle | None = None
        self._transport: DeliveryTransport | None = None
        self._unrouted: UnroutedMessages | None = None
        self._quiet = False
        store.on_corrupt = self._retention.discard

    def return_unrouted(self, grace_s: float, on_unrouted: Callable[[StreamMessage], None]) -> None:
        """Return messages that no known group wants, from `grace_s` seconds after `open` on."""
        self._unrouted = UnroutedMessages(
            self._store, self.writer, self._retention, grace_s=grace_s, on_unrouted=on_unrouted
        )

    def wake(self) -> None:
        """Write and deliver at the end of this turn of the loop."""
        if self._transport is not None:
            self._turn.begin()

    def open(self, transport: DeliveryTransport) -> None:
        """Begin to write and deliver; on the loop."""
        self._transport = transport
        self.groups.open()
        if self._unrouted is not None:
            self._unrouted.open()
        if self.intake.limits.max_age_ms is not None:
            self._trim_later(self.intake.limits.max_age_ms)
        self._turn.begin()

    def quiesce(self) -> None:
        """Stop delivering."""
        self._quiet = True

    async def finish(self, wait_s: float) -> None:
        """Wait `wait_s` at most for acknowledgements, and until all changes have been written."""
        until = self._now() + wait_s
        while self._now() < until and any(group.queue.in_flight for group in self.groups.known.values()):
            await self.writer.next_write(until)
        last = self.intake.last
        while not self.writer.idle:
            await self.writer.next_write(self._now() + _FINISH_S)
            if self.writer.committed >= last:  # messages that threads still send are written by close()
                break

    def close(self, error: ColugoError) -> None:
        """Stop, and fail all waiters with the error."""
        self._transport = None
        for timer in (self._timer, self._in_flight_timer, self._age_timer):
            if timer is not None:
                timer.cancel()
        self.groups.close()
        if self._unrouted is not None:
            self._unrouted.close()
        self.writer.close(error)

    def mark_alive(self, group: StreamGroup, identity: bytes) -> None:
        """Deliver to a consumer again that had been silent."""
        if group.queue.mark_alive(identity):
            self._schedule(group)

    def settle(self, group: StreamGroup, identity: bytes, settle: Settle, node: str) -> None:
        """Take settlements of a consumer, which is at that node."""
        if settle.stream_id != self.stream_id:
            self.unknown += len(settle.ranges) + len(settle.others)
            return
        if settle.ranges:
            self.acknowledge(group, settle.ranges)
        if settle.others:
            self._settle_others(group, identity, settle, node)

    def _settle_others(self, group: StreamGroup, identity: bytes, settle: Settle, node: str) -> None:
        seqs: dict[SettlementOutcome, list[int]] = defaultdict(list)
        for other in settle.others:
            if other.outcome is SettlementOutcome.NACK:
                self.nack(group, identity, other)
            elif other.outcome is SettlementOutcome.REJECT:
                self.reject(group, identity, other)
            else:
                seqs[other.outcome].append(other.seq)
        if working := seqs[SettlementOutcome.WORKING]:
            self.extend_deadlines(group, identity, working)
        if returned := seqs[SettlementOutcome.RETURN]:
            self.requeue(group, identity, returned)
        if abandoned := seqs[SettlementOutcome.ABANDONED]:
            reason = f"the consumer left before its callback ended (node {node})"
            unknown, dead = group.queue.abandon(identity, abandoned, reason)
            self.unknown += unknown
            self._retention.dead_letter(group, dead)
            self._schedule(group)

    def acknowledge(self, group: StreamGroup, ranges: Ranges) -> None:
        """Take the acknowledgement of messages."""
        done, unknown = group.acknowledge(ranges)
        self.unknown += unknown
        if done:
            self._retention.finish(group, done)
        self._schedule(group)

    def nack(self, group: StreamGroup, identity: bytes, nack: Settlement) -> None:
        """Redeliver a message after a delay, or make it a dead letter."""
        failure = nack.failure or _NACKED
        had, dead = group.queue.nack(
            identity,
            nack.seq,
            self._now(),
            delay_s=None if nack.delay_ms == BY_RULES else nack.delay_ms / 1000,
            reason=failure.reason,
            traceback=failure.traceback,
        )
        if not had:
            self.unknown += 1
        if dead is not None:
            self._retention.dead_letter(group, [dead])
        self._schedule(group)

    def reject(self, group: StreamGroup, identity: bytes, rejection: Settlement) -> None:
        """Make a message a dead letter, whatever attempts it has left."""
        failure = rejection.failure or _REJECTED
        dead = group.queue.reject(identity, rejection.seq, reason=failure.reason, traceback=failure.traceback)
        if dead is None:
            self.unknown += 1
        else:
            self._retention.dead_letter(group, [dead])
        self._schedule(group)

    def requeue(self, group: StreamGroup, identity: bytes, seqs: list[int]) -> None:
        """Take back messages that the consumer has not begun."""
        self.unknown += group.queue.requeue(identity, seqs)
        self._schedule(group)

    def extend_deadlines(self, group: StreamGroup, identity: bytes, seqs: list[int]) -> None:
        """Restart the acknowledgement timeouts of messages."""
        self.unknown += group.queue.extend_deadlines(identity, seqs, self._now())

    def on_inserting(self, messages: list[StreamMessage]) -> None:
        """See `TransactionListener`."""
        self._read_ahead.on_inserting(messages)

    def on_committed(self, transaction: Transaction, outcome: CommitOutcome) -> None:
        """See `TransactionListener`."""
        if transaction.inserts:
            self._read_ahead.on_inserted(transaction.inserts)
            if self._unrouted is not None:
                self._unrouted.on_inserted(transaction.inserts)
        for name, record in transaction.groups.items():
            if name in self.groups.known:
                self.groups.known[name].on_stored(record)
        for gone in (outcome.trimmed, outcome.expired):
            if gone:
                self._retention.discard(gone)
        self.dropped += len(outcome.trimmed)
        self.expired += len(outcome.expired)
        for group in self.groups.present:
            if group.cursor < self.writer.committed:
                self._scheduled[group] = None
        if self._transport is not None:
            self._deliver_scheduled(self._transport)  # before senders wake and send more

    def _schedule(self, group: StreamGroup) -> None:
        self._scheduled[group] = None
        self.wake()

    def _work(self) -> None:
        if self._transport is None:
            return
        self.writer.write()
        self._deliver_scheduled(self._transport)
        self.writer.write()
        self._set_timer()

    def _deliver_scheduled(self, transport: DeliveryTransport) -> None:
        scheduled, self._scheduled = self._scheduled, {}
        for group in scheduled:
            if self._retention.has(group):
                self._timed[group] = None
                if group.present and not self._quiet:
                    self._deliver(group, transport)

    def _deliver(self, group: StreamGroup, transport: DeliveryTransport) -> None:
        self._read_ahead.fill(group)
        group.drop_unbound()
        first, redeliveries = group.assign(self._now())
        for member, entries in first:
            transport.deliver(member, entries)
        if redeliveries:
            self.writer.record_attempts(group.hold(redeliveries))
            self.writer.after_commit(partial(self._redeliver, group, redeliveries))
        if self._in_flight_timer is None and group.queue.in_flight:
            self._record_in_flight_later()

    def _redeliver(self, group: StreamGroup, redeliveries: Deliveries) -> None:
        """Send redeliveries whose attempts have been stored, so that they count whatever happens."""
        for member, entries in redeliveries:
            due = group.release(member, entries)
            if due and self._transport is not None and not self._quiet:
                group.redeliver(member, due, self._now())
                self._transport.deliver(member, due)

    def _set_timer(self) -> None:
        due = None
        for group in list(self._timed):
            first = group.queue.next_due() if self._retention.has(group) else None
            if first is None:
                del self._timed[group]
            elif due is None or first < due:
                due = first
        if due is None:
            return
        if self._timer is not None:
            if self._timer.when() <= due:
                return
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_at(due, self._expire)

    def _expire(self) -> None:
        self._timer = None
        assert self._transport is not None, "a timer fired after close()"
        for group in filter(self._retention.has, list(self._timed)):
            dead, silent = group.expire(self._now())
            self._retention.dead_letter(group, dead)
            for member in silent:
                self._transport.ping(member)
            self._scheduled[group] = None
        self._work()

    def _record_in_flight(self) -> None:
        """Store which messages are in flight, so that they are redelivered after a crash."""
        self._in_flight_timer = None
        for group in self.groups.known.values():
            if group.update_in_flight():
                self.writer.mark_dirty(group)
        if any(group.queue.in_flight for group in self.groups.present):
            self._record_in_flight_later()
        self.writer.write()

    def _record_in_flight_later(self) -> None:
        loop = asyncio.get_running_loop()
        self._in_flight_timer = loop.call_later(_RECORD_IN_FLIGHT_S, self._record_in_flight)

    def _trim_later(self, max_age_ms: int) -> None:
        def trim() -> None:
            self.writer.trim_old()
            self._trim_later(max_age_ms)

        self._age_timer = asyncio.get_running_loop().call_later(min(1.0, max_age_ms / 2000), trim)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()
