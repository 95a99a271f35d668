"""The consumer groups of a stream: which exist, who is a member, and which have been retired."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from operator import add, attrgetter
from typing import NamedTuple

from colugo.net.runtime import Runtime
from colugo.patterns.streams.group import StreamGroup
from colugo.patterns.streams.read_ahead import ReadAhead
from colugo.patterns.streams.retention import AckPolicy, Retention
from colugo.patterns.streams.transaction_writer import TransactionWriter
from colugo.protocol.streams.attempts import DeliveryRules
from colugo.protocol.streams.ranges import RangeSet
from colugo.store import GroupRecord, OpenedStore, Store

_LINGER_S = 10.0
"""How long a group that is not durable is kept after its last member was lost."""


class GroupTotals(NamedTuple):
    """Counters of all groups of a stream, since it was made; see `GroupStats`."""

    delivered: int = 0
    redelivered: int = 0
    acknowledged: int = 0
    dead: int = 0


_counters = attrgetter(*GroupTotals._fields)


class Groups:
    """The consumer groups of a stream: the known ones, those present (with members), and retired records.

    `schedule` is called when one may have something to deliver.
    """

    def __init__(
        self,
        runtime: Runtime,
        store: Store,
        opened: OpenedStore,
        writer: TransactionWriter,
        *,
        ack: AckPolicy,
        rules: DeliveryRules,
        schedule: Callable[[StreamGroup], None],
    ) -> None:
        self._writer = writer
        self._any = ack == "any"
        self._rules = rules
        self._schedule = schedule
        self._on_change: Callable[[], None] = lambda: None
        self.known: dict[str, StreamGroup] = {}
        self.present: dict[StreamGroup, None] = {}
        self.retired: dict[str, GroupRecord] = {}
        self.retention = Retention(runtime, writer, self.known, stream_id=opened.stream_id, ack=ack)
        self.read_ahead = ReadAhead(
            runtime, store, writer, self.retention, present=self.present, schedule=schedule
        )
        attempts: dict[str, dict[int, int]] = defaultdict(dict)
        for (name, seq), count in opened.attempts.items():
            attempts[name][seq] = count
        for record in opened.groups:
            if not record.forgotten:
                last = opened.last_seq  # other messages will have the numbers of those that were never stored
                record.offered = min(record.offered, last)
                record.earlier = tuple((min(until, last), patterns) for until, patterns in record.earlier)
                self.known[record.name] = StreamGroup(record, rules, attempts[record.name])
            elif record.changed_ms:
                self.retired[record.name] = record
        self._linger_timers: dict[str, asyncio.TimerHandle] = {}
        self._removed = GroupTotals()
        """Counters of groups that have been removed."""

    @property
    def totals(self) -> GroupTotals:
        """The counters of all groups, removed ones included."""
        counters = zip(self._removed, *map(_counters, self.known.values()), strict=True)
        return GroupTotals(*map(sum, counters))

    def observe(self, on_change: Callable[[], None]) -> None:
        """Set the function to call when a durable group is made, changed or forgotten."""
        self._on_change = on_change

    def open(self) -> None:
        """Start the linger of groups whose members were lost with the producer's last run."""
        for group in self.known.values():
            if not (group.durable or group.present):
                self._linger(group)

    def close(self) -> None:
        """Cancel all timers, and ignore the results of reads under way."""
        self.read_ahead.close()
        for timer in self._linger_timers.values():
            timer.cancel()

    def join(
        self, name: str, identity: bytes, prefetch: int, bindings: Iterable[str], *, durable: bool
    ) -> StreamGroup:
        """Add a consumer to a group; make the group if it does not exist."""
        linger = self._linger_timers.pop(name, None)
        if linger is not None:
            linger.cancel()
        group = self.known.get(name)
        if group is None:
            group = self.make_group(name, bindings, durable=durable)
        else:
            self._bind(group, bindings)
        if durable and not group.durable:
            group.make_durable()
            self._changed(group)
        group.queue.join(identity, prefetch)
        self.present[group] = None
        self._schedule(group)
        return group

    def rejoin(
        self,
        group: StreamGroup,
        identity: bytes,
        prefetch: int,
        bindings: Iterable[str],
        begun: Iterable[int],
    ) -> None:
        """Change a member's prefetch and its group's bindings; it has dropped all but those begun."""
        group.rejoin(identity, prefetch, begun)
        self._bind(group, bindings)
        self._schedule(group)

    def leave(self, group: StreamGroup, identity: bytes, reason: str, *, lost: bool) -> None:
        """Remove a consumer from its group; if it is `lost`, a group that is not durable lingers."""
        self.retention.dead_letter(group, group.leave(identity, reason))
        if not group.present:
            self.present.pop(group, None)
            group.unload()
            if not group.durable and self.retention.has(group):
                if lost:
                    self._linger(group)
                else:
                    self._end(group)
        self._schedule(group)

    def _linger(self, group: StreamGroup) -> None:
        loop = asyncio.get_running_loop()
        self._linger_timers[group.name] = loop.call_later(_LINGER_S, lambda: self._end(group))

    def _end(self, group: StreamGroup) -> None:
        """Remove a group that is not durable; nothing of it needs to be remembered."""
        self._linger_timers.pop(group.name, None)
        if not (group.present or group.durable) and self.retention.has(
            group
        ):  # it may have become durable meanwhile
            self._remove(group)
            self._writer.delete_group(group.name)

    def make_group(self, name: str, bindings: Iterable[str], *, durable: bool) -> StreamGroup:
        """Make a group, which receives all messages that the stream keeps.

        If it is not durable, and other groups exist, it receives only messages written from now on: nobody
        waits for those that the others have handled. While deletion is deferred, it receives all of this run.
        """
        record = GroupRecord(name, durable=durable, bindings=tuple(bindings), changed_ms=_after(0))
        self.read_ahead.forget_newest()  # among them are messages that all groups were done with
        done = RangeSet(self._writer.deletes)
        last = self._writer.began_at if self.retention.deferring else self._writer.committed
        if not durable and self.known and not self._any and last:
            done.add(1, last)
        record.done = done.encode()
        group = self.known[name] = StreamGroup(record, self._rules)
        tombstone = self.retired.pop(name, None)
        if tombstone is not None:  # another node's clock may be ahead
            group.set_changed(tombstone.changed_ms)
        self._changed(group)
        return group

    def renew(self, group: StreamGroup, bindings: Iterable[str], changed_ms: int) -> None:
        """Take the bindings that another stream has for a group without members."""
        self._bind(group, bindings)
        self.make_durable(group)
        group.set_changed(changed_ms)
        self._schedule(group)

    def make_durable(self, group: StreamGroup) -> None:
        """Make a group durable, as it is at another stream."""
        group.make_durable()
        self._writer.mark_dirty(group)
        self._writer.request_write()

    def revive(self, group: StreamGroup, changed_ms: int) -> None:
        """Announce that a group exists that another stream has forgotten, as it has members here."""
        group.set_changed(changed_ms)
        self._changed(group)

    def forget(self, name: str, changed_ms: int | None = None) -> bool:
        """Remove a group, and remember that it was retired; return True if it was known."""
        group = self.known.get(name)
        before = self.retired.get(name) if group is None else group
        if changed_ms is None:
            changed_ms = _after(0 if before is None else before.changed_ms)
        if group is not None:
            self._remove(group)
        tombstone = GroupRecord(name, bindings=("#",), forgotten=True, changed_ms=changed_ms)
        self.retired[name] = tombstone
        self._writer.retire_group(tombstone)
        self._on_change()
        return group is not None

    def _bind(self, group: StreamGroup, bindings: Iterable[str]) -> None:
        """Replace the bindings of a group.

        With "all", they apply to messages sent from now on, as in RabbitMQ: the group still receives what
        already waits for it. With "any", a message waits for whichever group wants it: they apply to all.
        """
        if not group.bind(bindings, 0 if self._any else self._writer.intake.last):
            return
        if self._any:
            self.read_ahead.forget_newest()  # among them are messages that some group has handled
            group.restart(self._writer.deletes)
        self._changed(group)

    def _remove(self, group: StreamGroup) -> None:
        self._removed = GroupTotals(*map(add, self._removed, _counters(group)))
        del self.known[group.name]
        self.present.pop(group, None)
        self.retention.remove(group)
        self._schedule(group)

    def _changed(self, group: StreamGroup) -> None:
        group.set_changed(_after(group.changed_ms))
        self._writer.mark_dirty(group)
        self._writer.request_write()
        if group.durable:
            self._on_change()


def _after(changed_ms: int) -> int:
    """Return the present time, or one after a change that was stamped by a clock that is ahead."""
    return max(time.time_ns() // 1_000_000, changed_ms + 1)
