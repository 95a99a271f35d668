"""One consumer group of a stream: its bindings, its progress and the messages that are ready for it."""

from collections.abc import Iterable
from operator import attrgetter

from colugo.protocol.streams.attempts import DeliveryRules, ExhaustedMessage, GroupMember, QueuedMessage
from colugo.protocol.streams.bindings import BindingHistory, Bindings
from colugo.protocol.streams.group_queue import GroupQueue
from colugo.protocol.streams.ranges import RangeSet, to_ranges
from colugo.protocol.streams.stream_message import StreamMessage
from colugo.protocol.streams.transitions import DeliveryState
from colugo.store import GroupRecord

WINDOW_BYTES = 16 * 1024 * 1024
_LEAST_WINDOW = 2048
_group = attrgetter("group")

Ranges = list[tuple[int, int]]
Taken = tuple[Ranges, list[StreamMessage], list[ExhaustedMessage]]
Deliveries = list[tuple[GroupMember, list[QueuedMessage]]]


class StreamGroup:
    """A consumer group: the messages that it is done with, and those that are ready for its members.

    Attributes:
        offered: the highest number that members may have received; persisted before delivery, so that after
            a crash messages up to it are flagged as redelivered.
        cursor: the number up to which all messages have been offered to the queue, or are done.
        epoch: the number of times the cursor has been moved back.
        stored_attempts: numbers of messages whose attempts are in the store.
        attempts: attempts at messages that the group does not want at present, by sequence number.
        held: redeliveries that wait until their attempts have been stored.
    """

    def __init__(
        self, record: GroupRecord, rules: DeliveryRules, attempts: dict[int, int] | None = None
    ) -> None:
        self.name = record.name
        self.durable = record.durable
        self.changed_ms = record.changed_ms
        self._history = BindingHistory(record.bindings, record.earlier)
        self.done = RangeSet.decode(record.done)
        self.offered = self.stored_offered = record.offered
        self.queue = GroupQueue(rules)
        self.acknowledged = self.delivered = self.redelivered = self.dead = 0
        self.cursor = self.done.floor
        self.epoch = 0
        self.stored_attempts = set(attempts or ())
        self.attempts: dict[int, int] = {}
        self.held: dict[QueuedMessage, GroupMember] = {}
        self._unbound: set[int] = set()
        """Numbers of messages in the queue that no longer match the bindings."""
        self._recovered = record.offered
        self._rewound_from = 0
        """The highest cursor that was ever moved back."""
        self._earlier_attempts = {
            seq: 1 for first, last in RangeSet.decode(record.flight) for seq in range(first, last + 1)
        }
        """Attempts of before the producer was started, at messages that have not been read again."""
        self._earlier_attempts.update(attempts or {})
        self._in_flight = sorted(self._unread)

    @property
    def bindings(self) -> Bindings:
        """The patterns of the keys that the group receives."""
        return self._history.now

    @property
    def present(self) -> bool:
        """True if the group has members."""
        return bool(self.queue.members)

    @property
    def has_room(self) -> bool:
        """True if the queue can take more messages."""
        queue = self.queue
        window = max(_LEAST_WINDOW, 2 * sum(member.prefetch for member in queue.members.values()))
        return len(queue.messages) < window and queue.size < WINDOW_BYTES

    @property
    def _unread(self) -> list[int]:
        """Numbers of messages in flight when the producer ended that have not been read again."""
        return [seq for seq in self._earlier_attempts if seq not in self.stored_attempts]

    def record(self) -> GroupRecord:
        """Return the group as the store keeps it."""
        return GroupRecord(
            name=self.name,
            durable=self.durable,
            bindings=self.bindings.patterns,
            done=self.done.encode(),
            offered=self.offered,
            flight=RangeSet(to_ranges(self._in_flight)).encode(),
            changed_ms=self.changed_ms,
            earlier=self._history.earlier,
        )

    def update_in_flight(self) -> bool:
        """Take the first deliveries in flight into the record; return True if they differ from before."""
        if not (self.queue.in_flight or self._in_flight or self._earlier_attempts):
            return False
        before, self._in_flight = self._in_flight, sorted({*self.queue.first_deliveries(), *self._unread})
        return before != self._in_flight

    def make_durable(self) -> None:
        """Keep messages for the group while it has no members."""
        self.durable = True

    def set_changed(self, changed_ms: int) -> None:
        """Set the time of the last change, which decides between the records of two streams."""
        self.changed_ms = changed_ms

    def wants(self, message: StreamMessage) -> bool:
        """Return True if a message is for this group."""
        if message.group:
            return message.group == self.name
        return self._history.wants(message.seq, message.key)

    def bind(self, patterns: Iterable[str], last: int) -> bool:
        """Replace the bindings; return True if they differ. Those before apply to messages up to `last`."""
        return self._history.change(patterns, last)

    def restart(self, deleted: Ranges) -> None:
        """Match all messages of the stream again, against the present bindings.

        Messages in flight, and queued ones that still match, stay as they are. The stream no longer keeps
        those in `deleted`, though the store may still have them.
        """
        self._unbound = {seq for seq, entry in self.queue.messages.items() if not self.wants(entry.message)}
        self.drop_unbound()
        finished = [seq for seq in self.queue.messages if seq in self.done]
        self.done = RangeSet([*deleted, *to_ranges(finished)])
        self._rewind(self.done.floor)

    def drop_unbound(self) -> None:
        """Remove messages from the queue that no longer match the bindings and are not in flight."""
        if not self._unbound:
            return
        for entry in self.queue.discard_waiting(self._unbound):
            if entry.redelivered or entry.attempt:
                self.attempts[entry.message.seq] = entry.attempt
        self._unbound &= self.queue.messages.keys()

    def rejoin(self, identity: bytes, prefetch: int, begun: Iterable[int]) -> None:
        """Change a member's prefetch, and requeue its messages, except those that it has begun."""
        self._cancel_held(identity)
        self.queue.rejoin(identity, prefetch, begun)

    def leave(self, identity: bytes, reason: str) -> list[ExhaustedMessage]:
        """Remove a member and redeliver its messages; return those that become dead letters."""
        self._cancel_held(identity)
        return self.queue.leave(identity, reason)

    def _cancel_held(self, identity: bytes) -> None:
        """Requeue redeliveries that have not been sent to a member; they do not count as attempts."""
        mine = [entry for entry, member in self.held.items() if member.identity == identity]
        for entry in mine:
            del self.held[entry]
        self.queue.requeue(identity, [entry.message.seq for entry in mine])

    def unload(self) -> None:
        """Remove undelivered messages from memory; they are read again when a member joins."""
        lowest = self.queue.unload()
        if lowest is not None:
            self._rewind(min(self.cursor, lowest - 1))

    def mark_offered(self, seq: int) -> None:
        """Note that members may receive messages up to a number."""
        self.offered = max(self.offered, seq)

    def offered_only_to(self, seq: int) -> None:
        """Note that members have received none after a number, though a failed write has had more."""
        self.offered = seq

    def on_stored(self, record: GroupRecord) -> None:
        """Note that a record has been stored; of this group, or of one of the same name before it."""
        self.stored_offered = min(record.offered, self.offered)

    def skip_to(self, seq: int) -> Ranges:
        """Move the cursor to a number, as the store has no messages up to it; return the range skipped."""
        cursor, self.cursor = self.cursor, max(self.cursor, seq)
        return [(cursor + 1, self.cursor)] if self.cursor > cursor else []

    def take(self, messages: list[StreamMessage]) -> Taken:
        """Queue the messages that follow the cursor, in the order of their numbers.

        Returns:
            The numbers that are not for this group or no longer exist; the existing messages among them; and
            dead letters among the messages that were in flight when the producer ended.
        """
        if not messages:
            return [], [], []
        cursor, self.cursor = self.cursor, messages[-1].seq
        new = cursor >= self._recovered and cursor >= self._rewound_from
        if new and self._history.all and not self.attempts and not self.done.overlap(cursor + 1, self.cursor):
            consecutive = messages[0].seq == cursor + 1 and self.cursor - cursor == len(messages)
            if consecutive and not any(map(_group, messages)):
                self.queue.offer(messages)
                return [], [], []
        taken = self._take_each(messages, cursor)
        if self.cursor >= self._recovered:
            self._earlier_attempts.clear()
        self._history.finish(self.done.floor)
        return taken

    def _take_each(self, messages: list[StreamMessage], cursor: int) -> Taken:
        skipped: Ranges = []
        unwanted: list[StreamMessage] = []
        dead: list[ExhaustedMessage] = []
        before = cursor
        for message in messages:
            seq = message.seq
            if seq > before + 1:
                skipped.append((before + 1, seq - 1))
            before = seq
            if seq in self.done or seq in self.queue.messages:
                continue
            if not self.wants(message):
                skipped.append((seq, seq))
                unwanted.append(message)
            elif seq <= self._recovered or seq in self.attempts:
                earlier = self._earlier_attempts.pop(seq, 0)
                letter = self.queue.offer_redelivery(message, self.attempts.pop(seq, earlier))
                if letter is not None:
                    dead.append(letter)
            else:
                self.queue.offer([message])
        return skipped, unwanted, dead

    def _rewind(self, cursor: int) -> None:
        self._rewound_from = max(self._rewound_from, self.cursor)
        self.cursor = cursor
        self.epoch += 1

    def assign(self, now: float) -> tuple[Deliveries, Deliveries]:
        """Choose the messages that members receive now.

        Returns:
            First deliveries, which are counted; and redeliveries, to be given to `hold`.
        """
        first: Deliveries = []
        redeliveries: Deliveries = []
        for member, entries in self.queue.assign(now):
            new = [entry for entry in entries if not entry.redelivered]
            if len(new) < len(entries):
                redeliveries.append((member, [entry for entry in entries if entry.redelivered]))
            if new:
                self.delivered += len(new)
                first.append((member, new))
        return first, redeliveries

    def hold(self, redeliveries: Deliveries) -> list[tuple[str, int, int]]:
        """Hold redeliveries until their attempts (group, sequence number, number) have been stored."""
        attempts = []
        for member, entries in redeliveries:
            for entry in entries:
                seq = entry.message.seq
                if seq not in self.done:  # else another group has handled it, and its attempts are deleted
                    attempts.append((self.name, seq, entry.attempt))
                    self.stored_attempts.add(seq)
                self.held[entry] = member
        return attempts

    def release(self, member: GroupMember, entries: list[QueuedMessage]) -> list[QueuedMessage]:
        """Stop holding redeliveries; return those that the member is still to receive."""
        mine = [entry for entry in entries if self.held.get(entry) is member]
        for entry in mine:
            del self.held[entry]
        return [entry for entry in mine if entry.member is member and entry.state is DeliveryState.IN_FLIGHT]

    def redeliver(self, member: GroupMember, entries: list[QueuedMessage], now: float) -> None:
        """Count redeliveries that are sent now, and start their acknowledgement timeouts."""
        self.queue.extend_deadlines(member.identity, [entry.message.seq for entry in entries], now)
        self.delivered += len(entries)
        self.redelivered += len(entries)

    def expire(self, now: float) -> tuple[list[ExhaustedMessage], list[GroupMember]]:
        """Take back messages whose acknowledgement timeout is over; it does not run for held redeliveries.

        Returns:
            The messages that become dead letters, and the members that have become silent.
        """
        for entry, member in self.held.items():
            self.queue.extend_deadlines(member.identity, [entry.message.seq], now)
        return self.queue.expire(now)

    def acknowledge(self, ranges: Ranges) -> tuple[list[int], int]:
        """Return the numbers of the messages acknowledged, and how many others were not in flight."""
        done, unknown = self.queue.acknowledge(ranges)
        self.acknowledged += len(done)
        return done, unknown

    def count_dead(self, count: int) -> None:
        """Count dead letters."""
        self.dead += count

    def finish(self, ranges: Ranges) -> Ranges:
        """Note that the group is done with messages; return those that it was not done with before."""
        new: Ranges = []
        for first, last in ranges:
            new += self.done.add(first, last)
        return new

    def forget_attempts(self, seqs: list[int]) -> set[int]:
        """Forget the attempts at messages; return the numbers of those whose attempts are in the store."""
        if self.attempts:
            for seq in seqs:
                self.attempts.pop(seq, None)
        if not self.stored_attempts:
            return set()
        stored = self.stored_attempts.intersection(seqs)
        self.stored_attempts -= stored
        return stored
