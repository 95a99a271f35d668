"""What a stream knows of one consumer group."""

from collections.abc import Iterable
from operator import attrgetter

from colugo.protocol.streams.attempts import DeliveryRules, ExhaustedMessage, GroupMember, QueuedMessage
from colugo.protocol.streams.binding_history import BindingHistory
from colugo.protocol.streams.bindings import Bindings
from colugo.protocol.streams.group_queue import GroupQueue
from colugo.protocol.streams.ranges import RangeSet, to_ranges
from colugo.protocol.streams.stream_message import StreamMessage
from colugo.store import GroupRecord

WINDOW_BYTES = 16 * 1024 * 1024
_LEAST_WINDOW = 2048
_group = attrgetter("group")

Ranges = list[tuple[int, int]]


class StreamGroup:
    """A consumer group: which messages it is done with, and which are ready for its members.

    Args:
        record: what the store has of it.
        rules: how often, and how fast, messages are handed out.
        tries: how often messages are known to have been handed out, by number.
    """

    def __init__(
        self, record: GroupRecord, rules: DeliveryRules, tries: dict[int, int] | None = None
    ) -> None:
        self.name = record.name
        self.durable = record.durable
        self.changed_ms = record.changed_ms
        self._bound = BindingHistory(record.bindings, record.earlier)
        self.done = RangeSet.decode(record.done)
        self.offered = record.offered
        self.marked = record.offered
        """The highest number of which it has been written that members may have it."""
        self.queue = GroupQueue(rules)
        self.acknowledged = self.delivered = self.redelivered = self.dead = 0
        self.reading = False
        """Whether messages are being read from the store for it, or wait for their mark to be written."""
        self.cursor = self.done.floor
        """All up to this number have been offered to the queue, or are done."""
        self.written = set(tries or ())
        """Numbers of messages whose tries are in the store."""
        self.unsent: dict[QueuedMessage, GroupMember] = {}
        """Second tries that are handed to members when they have been written."""
        self.epoch = 0
        """How often the group has begun to read from an earlier message again."""
        self.strays: set[int] = set()
        """Numbers of messages that members have, though the group does not want them any more."""
        self.tried: dict[int, int] = {}
        """How often messages have been handed out that are not wanted now, by number."""
        self._recovered = record.offered
        self._had = 0
        """The highest number that was offered to the queue when the group has begun to read again."""
        self._tries = {
            seq: 1 for first, last in RangeSet.decode(record.flight) for seq in range(first, last + 1)
        }
        self._tries.update(tries or {})
        self._flight = sorted(self._unread)

    @property
    def bindings(self) -> Bindings:
        """Which keys it wants."""
        return self._bound.now

    @property
    def present(self) -> bool:
        """Whether it has members."""
        return bool(self.queue.members)

    @property
    def has_room(self) -> bool:
        """Whether more messages may be made ready."""
        queue = self.queue
        window = max(_LEAST_WINDOW, 2 * sum(member.prefetch for member in queue.members.values()))
        return len(queue.messages) < window and queue.size < WINDOW_BYTES

    def record(self) -> GroupRecord:
        """What the store keeps of it."""
        return GroupRecord(
            name=self.name,
            durable=self.durable,
            bindings=self.bindings.patterns,
            done=self.done.encode(),
            offered=self.offered,
            flight=RangeSet(to_ranges(self._flight)).encode(),
            changed_ms=self.changed_ms,
            earlier=self._bound.earlier,
        )

    def update_flight(self) -> bool:
        """See what members have for the first time; whether it is something else than the record says."""
        if not (self.queue.in_flight or self._flight or self._tries):
            return False
        before, self._flight = self._flight, sorted({*self.queue.first_deliveries(), *self._unread})
        return before != self._flight

    def take_back_unsent(self, identity: bytes) -> None:
        """A member is gone: tries that have not been sent to it do not count."""
        mine = [entry for entry, member in self.unsent.items() if member.identity == identity]
        for entry in mine:
            del self.unsent[entry]
        self.queue.requeue(identity, [entry.message.seq for entry in mine])

    def extend_unsent(self, now: float) -> None:
        """Time does not pass for tries that have not been sent yet.

        Args:
            now: seconds.
        """
        for entry, member in self.unsent.items():
            self.queue.extend_deadlines(member.identity, [entry.message.seq], now)

    @property
    def _unread(self) -> list[int]:
        """Numbers of messages that were in flight when the producer ended, and have not been read yet."""
        return [seq for seq in self._tries if seq not in self.written]

    def take(
        self, messages: list[StreamMessage]
    ) -> tuple[Ranges, list[StreamMessage], list[ExhaustedMessage]]:
        """Make messages ready, as they follow on the cursor.

        Args:
            messages: in the order of their numbers.

        Returns:
            What is not for this group, or no longer there; of these, the messages that are there; and
            dead letters among those that were in flight when the producer ended.
        """
        if not messages:
            return [], [], []
        cursor, self.cursor = self.cursor, messages[-1].seq
        fresh = cursor >= self._recovered and cursor >= self._had and self._bound.all and not self.tried
        if fresh and not self.done.overlap(cursor + 1, self.cursor):
            consecutive = messages[0].seq == cursor + 1 and self.cursor - cursor == len(messages)
            if consecutive and not any(map(_group, messages)):
                self.queue.offer(messages)
                return [], [], []
        taken = self._take_some(messages, cursor)
        if self.cursor >= self._recovered:
            self._tries.clear()
        self._bound.finish(self.done.floor)
        return taken

    def _take_some(
        self, messages: list[StreamMessage], cursor: int
    ) -> tuple[Ranges, list[StreamMessage], list[ExhaustedMessage]]:
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
            elif seq <= self._recovered or seq in self.tried:
                before_end = self._tries.pop(seq, 0)
                letter = self.queue.offer_redelivery(message, self.tried.pop(seq, before_end))
                if letter is not None:
                    dead.append(letter)
            else:
                self.queue.offer([message])
        return skipped, unwanted, dead

    def wants(self, message: StreamMessage) -> bool:
        """Whether a message is for this group."""
        if message.group:
            return message.group == self.name
        return self._bound.wants(message.seq, message.key)

    def bind(self, patterns: Iterable[str], last: int) -> bool:
        """Take other bindings.

        Args:
            patterns: of them.
            last: the number of the last message that is judged by the ones before; 0 for none.

        Returns:
            Whether they are others.
        """
        return self._bound.change(patterns, last)

    def begin_anew(self, gone: Ranges) -> None:
        """Look again at all messages that are kept, by the bindings of now.

        What members have, and what waits for them and is still wanted, stays as it is.

        Args:
            gone: what is not kept any more, as far as it has not been removed yet.
        """
        self.strays = {seq for seq, entry in self.queue.messages.items() if not self.wants(entry.message)}
        self.drop_strays()
        finished = [seq for seq in self.queue.messages if seq in self.done]
        self.done = RangeSet([*gone, *to_ranges(finished)])
        self._had = max(self._had, self.cursor)
        self.cursor = self.done.floor
        self.epoch += 1

    def unload(self) -> None:
        """Keep nothing in memory that has not been handed out: it is read again when somebody comes."""
        lowest = self.queue.unload()
        if lowest is not None:
            self._had = max(self._had, self.cursor)
            self.cursor = min(self.cursor, lowest - 1)
            self.epoch += 1

    def drop_strays(self) -> None:
        """Messages that are not wanted any more are handed out to nobody."""
        for entry in self.queue.discard_waiting(self.strays):
            if entry.redelivered or entry.attempt:
                self.tried[entry.message.seq] = entry.attempt
        self.strays &= self.queue.messages.keys()
