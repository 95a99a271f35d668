"""The consumer groups of a stream: who is known, and what each is done with."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Literal, NamedTuple

from colugo.errors import ColugoError
from colugo.net.runtime import Runtime
from colugo.patterns.base import ThrottledWarnings
from colugo.patterns.streams.group import Ranges, StreamGroup
from colugo.patterns.streams.journal import Journal
from colugo.patterns.streams.tail import Tail
from colugo.protocol.streams.attempts import DeliveryRules, ExhaustedMessage
from colugo.protocol.streams.message_ids import message_id
from colugo.protocol.streams.ranges import RangeSet, to_ranges
from colugo.protocol.streams.stream_message import StreamMessage
from colugo.store import GroupRecord, OpenedStore, StoredDeadLetter

_LINGER_S = 10.0
"""How long a group that is not durable is remembered after its last member was lost."""

AckPolicy = Literal["all", "any"]


class GroupTotals(NamedTuple):
    """What the groups of a stream have had since it was made.

    Attributes:
        delivered: messages that were handed to members, each time counted.
        redelivered: of those, second and later times.
        acknowledged: messages that members have acknowledged.
        dead: messages that have become dead letters.
    """

    delivered: int = 0
    redelivered: int = 0
    acknowledged: int = 0
    dead: int = 0


class Groups:
    """Which groups a stream knows, and which messages they are done with; lets go what nobody needs.

    Args:
        runtime: the node's.
        journal: what is to be written.
        opened: what was in the store.
        ack: whose acknowledgement it takes.
        rules: how often, and how fast, messages are handed out.
        tail: the newest messages.
        stir: called when something of a group has changed that may let more be handed out.

    Attributes:
        known: the groups, by name.
        present: those of them that have members.
        forgotten: those that have been retired.
        on_news: called when a durable group is new, has changed, or has been forgotten.
        unrouted: how many messages left because no group had wanted them.
    """

    def __init__(
        self,
        runtime: Runtime,
        journal: Journal,
        opened: OpenedStore,
        *,
        ack: AckPolicy,
        rules: DeliveryRules,
        tail: Tail,
        stir: Callable[[StreamGroup], None],
    ) -> None:
        self._journal = journal
        self._stream_id = opened.stream_id
        self._any = ack == "any"
        self._rules = rules
        self._tail = tail
        self._stir = stir
        self._complaints = ThrottledWarnings(runtime)
        self.known: dict[str, StreamGroup] = {}
        self.present: dict[StreamGroup, None] = {}
        self.forgotten: dict[str, GroupRecord] = {}
        self.on_news: Callable[[], None] = lambda: None
        self.unrouted = 0
        tries: dict[str, dict[int, int]] = defaultdict(dict)
        for (name, seq), count in opened.attempts.items():
            tries[name][seq] = count
        for record in opened.groups:
            if not record.forgotten:
                _forget_numbers(record, opened.last_seq)
                self.known[record.name] = StreamGroup(record, rules, tries[record.name])
            elif record.changed_ms:
                self.forgotten[record.name] = record
        self._lingering: dict[str, asyncio.TimerHandle] = {}
        self._gone = GroupTotals()
        """Of groups that are gone."""

    @property
    def totals(self) -> GroupTotals:
        """What all groups have had, those that are gone included."""
        gone, groups = self._gone, self.known.values()
        return GroupTotals(
            gone.delivered + sum(group.delivered for group in groups),
            gone.redelivered + sum(group.redelivered for group in groups),
            gone.acknowledged + sum(group.acknowledged for group in groups),
            gone.dead + sum(group.dead for group in groups),
        )

    def has(self, group: StreamGroup) -> bool:
        """Whether it is known still."""
        return self.known.get(group.name) is group

    def open(self) -> None:
        """Begin, on the loop."""
        for group in self.known.values():
            if not (group.durable or group.present):  # of before the producer was started again
                self._linger(group)

    def close(self) -> None:
        """End."""
        for timer in self._lingering.values():
            timer.cancel()

    def join(
        self, name: str, identity: bytes, prefetch: int, bindings: Iterable[str], *, durable: bool
    ) -> StreamGroup:
        """A consumer joins a group, which may be a new one.

        Args:
            name: of the group.
            identity: of the consumer's connection.
            prefetch: how many messages it may have at a time.
            bindings: which keys the group wants.
            durable: whether the group is remembered when it has no members.
        """
        linger = self._lingering.pop(name, None)
        if linger is not None:
            linger.cancel()
        group = self.known.get(name)
        if group is None:
            group = self.make_group(name, bindings, durable=durable)
        else:
            self._bind(group, bindings)
        if durable and not group.durable:
            group.durable = True
            self._change(group)
        group.queue.join(identity, prefetch)
        self.present[group] = None
        self._stir(group)
        return group

    def rebind(
        self, group: StreamGroup, identity: bytes, bindings: Iterable[str], begun: Iterable[int]
    ) -> None:
        """A member binds its group to other keys.

        Args:
            group: of it.
            identity: of the member's connection.
            bindings: which keys the group wants.
            begun: numbers of messages that it is at work with; what else it was sent it has thrown away.
        """
        group.take_back_unsent(identity)
        group.queue.rejoin(identity, begun)
        self._bind(group, bindings)
        self._stir(group)

    def _bind(self, group: StreamGroup, bindings: Iterable[str]) -> None:
        """Let other keys be wanted.

        With "all", of what is sent from now on, as by RabbitMQ: what waits for the group goes on to wait for
        it. With "any", messages wait for anybody who wants them: the bindings are for all that is kept.
        """
        if not group.bind(bindings, 0 if self._any else self._journal.intake.last):
            return
        if self._any:
            self._tail.clear(self._journal.committed)  # there, messages are that somebody has had
            group.begin_anew(self._journal.deletes)
        self._change(group)

    def make_group(self, name: str, bindings: Iterable[str], *, durable: bool) -> StreamGroup:
        """A group that was not known; it gets all that is kept.

        One that is not durable gets only what is written from now on, if others are known already: what they
        have had, nobody waits for.
        """
        record = GroupRecord(name, durable=durable, bindings=tuple(bindings), changed_ms=_now_ms())
        self._tail.clear(self._journal.committed)  # there, messages are that all were done with
        done = RangeSet(self._journal.deletes)
        if not durable and self.known and not self._any and self._journal.committed:
            done.add(1, self._journal.committed)
        record.done = done.encode()
        group = self.known[name] = StreamGroup(record, self._rules)
        tombstone = self.forgotten.pop(name, None)
        if tombstone is not None:  # by another clock, which may be ahead
            group.changed_ms = tombstone.changed_ms
        self._change(group)
        return group

    def renew(self, group: StreamGroup, bindings: Iterable[str], changed_ms: int) -> None:
        """A group without members is as another stream has said.

        Args:
            group: which.
            bindings: which keys it wants.
            changed_ms: since when, milliseconds since 1970.
        """
        self._bind(group, bindings)
        self.endure(group)
        group.changed_ms = changed_ms
        self._stir(group)

    def endure(self, group: StreamGroup) -> None:
        """Another stream remembers a group when it has no members: so does this one, from now on."""
        group.durable = True
        self._journal.dirty[group.name] = group
        self._journal.begin()

    def revive(self, group: StreamGroup, changed_ms: int) -> None:
        """Another stream has it that a group is gone, whose members are here: say that it is not.

        Args:
            group: which.
            changed_ms: what makes this the newer word, milliseconds since 1970.
        """
        group.changed_ms = changed_ms
        self._change(group)

    def leave(self, group: StreamGroup, identity: bytes, reason: str, *, lost: bool) -> None:
        """A consumer has gone.

        Args:
            group: of it.
            identity: of its connection.
            reason: for dead letters.
            lost: whether it was lost, and may come back.
        """
        group.take_back_unsent(identity)
        dead = group.queue.leave(identity, reason)
        self.bury(group, dead)
        if not group.present:
            self.present.pop(group, None)
            group.unload()
        if not group.present and not group.durable and self.has(group):
            if lost:
                self._linger(group)
            else:
                self._end_group(group)
        self._stir(group)

    def _linger(self, group: StreamGroup) -> None:
        """Remember a group that is not durable for a while, as its members may come back."""
        self._lingering[group.name] = asyncio.get_running_loop().call_later(
            _LINGER_S, lambda: self._end_group(group)
        )

    def _end_group(self, group: StreamGroup) -> None:
        self._lingering.pop(group.name, None)
        if not (group.present or group.durable) and self.has(group):  # it may have become durable meanwhile
            self._remove(group)
            self._journal.next.gone.append(group.name)

    def forget(self, name: str, changed_ms: int | None = None) -> bool:
        """Forget a group: nothing is kept for it any more, until a consumer joins it again.

        Args:
            name: of the group.
            changed_ms: when that was decided, milliseconds since 1970; None for now.

        Returns:
            Whether it was known.
        """
        group = self.known.get(name)
        before = self.forgotten.get(name) if group is None else group
        if changed_ms is None:
            changed_ms = _newer(0 if before is None else before.changed_ms)
        if group is not None:
            self._remove(group)
        record = self.forgotten[name] = _tombstone(name, changed_ms)
        self._journal.next.groups[name] = record
        self._journal.begin()
        self.on_news()
        return group is not None

    def _remove(self, group: StreamGroup) -> None:
        """Take a group out; what only it had waited for is done with."""
        self._gone = GroupTotals(
            self._gone.delivered + group.delivered,
            self._gone.redelivered + group.redelivered,
            self._gone.acknowledged + group.acknowledged,
            self._gone.dead + group.dead,
        )
        del self.known[group.name]
        self.present.pop(group, None)
        self._journal.dirty.pop(group.name, None)
        self._journal.next.settled += [(group.name, seq) for seq in group.written]
        committed = self._journal.committed
        if self.known and committed and not self._any:  # with "any", others may come that have a use for it
            self._journal.next.deletes += self._done_by_all([(1, committed)])
        self._stir(group)

    def _change(self, group: StreamGroup) -> None:
        group.changed_ms = _newer(group.changed_ms)
        self._journal.dirty[group.name] = group
        self._journal.begin()
        if group.durable:
            self.on_news()

    def bury(self, group: StreamGroup, dead: list[ExhaustedMessage]) -> None:
        """Messages have had their tries: they become dead letters of a group."""
        if not dead:
            return
        letters = []
        for entry, reason, traceback in dead:
            seq = entry.message.seq
            if self._any and seq in group.done:  # somebody else has handled it
                continue
            letters.append(
                StoredDeadLetter(entry.message, group.name, entry.attempt, reason, traceback, time.time_ns())
            )
            self._complaints.warn(
                group.name,
                f"message {message_id(self._stream_id, seq)} is a dead letter of the group {group.name!r} "
                f"after {entry.attempt} {'try' if entry.attempt == 1 else 'tries'}",
                ColugoError(reason),
            )
        group.dead += len(letters)
        self._journal.next.dead += letters
        seqs = [entry.message.seq for entry, _, _ in dead]
        self.settle(group, seqs)
        self.finish(group, to_ranges(seqs))

    def settle(self, group: StreamGroup, seqs: list[int]) -> None:
        """Their tries need not be remembered any more."""
        if group.tried:
            for seq in seqs:
                group.tried.pop(seq, None)
        if group.written:
            over = group.written.intersection(seqs)
            if over:
                group.written -= over
                self._journal.next.settled += [(group.name, seq) for seq in over]

    def finish(self, group: StreamGroup, ranges: Ranges) -> None:
        """A group has had messages.

        Args:
            group: which.
            ranges: of their numbers.
        """
        new = self._enter(group, ranges)
        if self._any:
            self._finish_for_others(group, new)
        self._journal.next.deletes += self._done_by_all(new)

    def skip(self, group: StreamGroup, ranges: Ranges, unwanted: Iterable[StreamMessage]) -> None:
        """Messages are not for a group, or not there any more.

        Args:
            group: which.
            ranges: of their numbers.
            unwanted: those that are there.
        """
        new = self._enter(group, ranges)
        if self._any:  # they wait for somebody who wants them
            return
        gone = self._done_by_all(new)
        self._journal.next.deletes += gone
        if gone:
            self._count_unrouted(RangeSet(gone), unwanted)

    def _enter(self, group: StreamGroup, ranges: Ranges) -> Ranges:
        """A group is done with messages; which of them it was not done with before."""
        new: Ranges = []
        for first, last in ranges:
            new += group.done.add(first, last)
        self._journal.dirty[group.name] = group
        return new

    def _finish_for_others(self, group: StreamGroup, ranges: Ranges) -> None:
        """One has had them, which is enough. Who is about to get them still does, once."""
        for other in self.known.values():
            if other is group:
                continue
            for first, last in ranges:
                other.done.add(first, last)
            self._journal.dirty[other.name] = other
            if other.written or other.tried or not other.present:
                seqs = [seq for first, last in ranges for seq in range(first, last + 1)]
                self.settle(other, seqs)
                if not other.present:
                    other.queue.discard(seqs)

    def _done_by_all(self, ranges: Ranges) -> Ranges:
        """The parts of ranges that every group is done with.

        From the last group on: they are handed messages from the first on, and are done in that order.
        """
        for group in reversed(self.known.values()):
            if not ranges:
                break
            ranges = [part for first, last in ranges for part in group.done.overlap(first, last)]
        return ranges

    def _count_unrouted(self, gone: RangeSet, unwanted: Iterable[StreamMessage]) -> None:
        """Messages leave that one group has not wanted: see whether others have."""
        self.unrouted += sum(
            message.seq in gone and not any(group.wants(message) for group in self.known.values())
            for message in unwanted
        )

    def release(self, seqs: list[int]) -> None:
        """The store has dropped messages.

        Records need not be written for that: a group that does not know of it finds that they are not there.
        """
        ranges = to_ranges(seqs)
        for group in self.known.values():
            if group.queue.messages:
                group.queue.discard(seqs)
            self.settle(group, seqs)
            for first, last in ranges:
                group.done.add(first, last)
        self._journal.begin()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _newer(changed_ms: int) -> int:
    """A time that makes a word newer than another one, though that may be by a clock that is ahead."""
    return max(_now_ms(), changed_ms + 1)


def _forget_numbers(record: GroupRecord, last: int) -> None:
    """Numbers of messages that were never stored, as the store failed, are used again: for other messages."""
    record.offered = min(record.offered, last)
    record.earlier = tuple((min(until, last), patterns) for until, patterns in record.earlier)


def _tombstone(name: str, changed_ms: int) -> GroupRecord:
    return GroupRecord(name, bindings=("#",), forgotten=True, changed_ms=changed_ms)
