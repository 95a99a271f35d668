"""The queue of one consumer group: delivery, settlement and redelivery of its messages."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from operator import itemgetter

from colugo.protocol.streams.assignment import Assignment
from colugo.protocol.streams.attempts import DeliveryRules, ExhaustedMessage, GroupMember, QueuedMessage
from colugo.protocol.streams.delivery_deadlines import AckDeadlines, RetrySchedule
from colugo.protocol.streams.key_order import KeyOrder, NoKeyOrder
from colugo.protocol.streams.orphaned_messages import OrphanedMessages
from colugo.protocol.streams.stream_message import StreamMessage
from colugo.protocol.streams.transitions import DeliveryEvent, DeliveryState, next_state

# members of an enum are slow to look up, and each message needs these
_IN_FLIGHT = DeliveryState.IN_FLIGHT
_ACKNOWLEDGED = DeliveryState.ACKNOWLEDGED
_seq, _headers, _payload = map(itemgetter, (0, 2, 3))
_WIDE = 64
"""The length of a range from which its numbers are not looked up one by one."""
_MAX_STALE = 1000
"""The number of settled messages that may wait among the others before a sweep."""


class GroupQueue:
    """Delivers the messages of a stream to the members of one group; has no socket and no clock.

    Each member gets as many messages as it has credit for. Messages of one key go to one member at a time, in
    order; messages without a key, or all without `rules.ordered`, go to any member with credit. When a member
    is lost or silent, its messages are orphaned: each is redelivered alone, to a member that has nothing else
    in flight. So a message that kills its consumers is found out, and takes no others with it. Members have
    the routing id of their connection as identity. `now` is in seconds, and never decreases.
    """

    def __init__(self, rules: DeliveryRules) -> None:
        self.rules = rules
        self.messages: dict[int, QueuedMessage] = {}
        """The messages that are not settled, by number."""
        self.members: dict[bytes, GroupMember] = {}
        self.in_flight = 0
        """The number of messages that members have in flight."""
        self.size = 0
        """The bytes of the payloads and headers of `messages`."""
        self._keys = KeyOrder() if rules.ordered else NoKeyOrder()
        self._orphans = OrphanedMessages(self._keys)
        self._ready = Assignment(self._keys, self._orphans)
        self._retries = RetrySchedule()
        self._deadlines = AckDeadlines()
        self._stale = 0

    def offer(self, messages: Iterable[StreamMessage]) -> None:
        """Queue messages that have never been delivered, in the order of their numbers."""
        messages = list(messages)
        batch = list(map(QueuedMessage, messages))
        self.messages.update(zip(map(_seq, messages), batch, strict=True))
        self._ready.append(batch)
        self.size += sum(map(len, map(_payload, messages))) + sum(map(len, map(_headers, messages)))

    def offer_redelivery(self, message: StreamMessage, attempts: int) -> ExhaustedMessage | None:
        """Queue a message that may have been delivered before the producer restarted.

        Returns:
            The message as a dead letter if its known deliveries leave no attempts.
        """
        queued = QueuedMessage(message, attempts, redelivered=True)
        if attempts > self.rules.max_deliver:
            queued.state = _IN_FLIGHT  # as it was when the producer ended
            _move(queued, DeliveryEvent.LOST, exhausted=True)
            return ExhaustedMessage(queued, f"the producer ended {attempts} times while a consumer had it")
        self.messages[message.seq] = queued
        self.size += len(message.payload) + len(message.headers)
        if attempts >= self.rules.max_deliver:
            self._orphans.mark(queued)
            self._orphans.append(queued)
        else:
            self._ready.append([queued])
        return None

    def join(self, identity: bytes, prefetch: int) -> None:
        """Add a member with a new identity, which may have `prefetch` messages in flight."""
        assert identity not in self.members, f"{identity.hex()} is a member already"
        self.members[identity] = GroupMember(identity, prefetch)

    def leave(self, identity: bytes, reason: str) -> list[ExhaustedMessage]:
        """Remove a member, redeliver what it has in flight, and return the messages without attempts left."""
        member = self.members.pop(identity, None)
        if member is None:
            return []
        member.silent = True  # queues of keys may still name it
        lost = [one for one in self.messages.values() if one.member is member and one.state is _IN_FLIGHT]
        exhausted = self._fail(member, lost, DeliveryEvent.LOST, reason)
        self._orphans.leave(member)
        return exhausted

    def assign(self, now: float) -> list[tuple[GroupMember, list[QueuedMessage]]]:
        """Choose the messages that each member gets now, and start their deadlines."""
        if self._retries:
            self._end_pauses(now)
        if not any(member.credit > 0 for member in self.members.values()):
            return []
        given = self._ready.assign(self.members.values())
        if len(self.members) > 1:
            for member in given:  # of members with equal load, the one served least recently is next
                self.members[member.identity] = self.members.pop(member.identity)
        self.in_flight += sum(map(len, given.values()))
        deadline = now + self.rules.ack_timeout_s
        for batch in given.values():
            self._deadlines.add(deadline, batch, self.in_flight)
        return list(given.items())

    def mark_alive(self, identity: bytes) -> bool:
        """Note that a member has sent something; return True if it was silent, and gets messages again."""
        member = self.members.get(identity)
        if member is None or not member.silent:
            return False
        member.silent = False
        self._keys.unblock(member)
        return True

    def acknowledge(self, ranges: Iterable[tuple[int, int]]) -> tuple[list[int], int]:
        """Settle messages that members have handled, in ranges of any width, as peers send them.

        Returns:
            The numbers that are settled by this, and how many others are unknown here.
        """
        done: list[int] = []
        unknown = size = 0
        messages = self.messages
        known: list[int] = []
        for first, last in ranges:
            numbers: Sequence[int] = range(first, last + 1)
            if last - first >= _WIDE:
                known = known or sorted(messages)
                numbers = known[bisect_left(known, first) : bisect_right(known, last)]
                unknown += last - first + 1 - len(numbers)
            for seq in numbers:
                queued = messages.get(seq)
                if queued is None or not (queued.attempt or queued.redelivered):
                    unknown += 1
                    continue
                if queued.state is _IN_FLIGHT:
                    self._end_flight(queued)
                else:
                    self._end_wait(queued)
                queued.state = _ACKNOWLEDGED
                del messages[seq]
                _, _, headers, payload, *_ = queued.message
                size += len(payload) + len(headers)
                done.append(seq)
        self.size -= size
        return done, unknown

    def nack(
        self, identity: bytes, seq: int, now: float, *, delay_s: float | None, reason: str, traceback: str
    ) -> tuple[bool, ExhaustedMessage | None]:
        """Schedule the retry of a message that a member could not handle.

        A delay of None stands for the backoff of the rules. Reason and traceback are for a dead letter.

        Returns:
            Whether the member had the message, and the message if it has no attempts left.
        """
        queued = self._held_by(identity, seq)
        if queued is None:
            return False, None
        exhausted = queued.attempt >= self.rules.max_deliver
        self._end_flight(queued)
        _move(queued, DeliveryEvent.NACK, exhausted=exhausted)
        if exhausted:
            self._remove(queued)
            return True, ExhaustedMessage(queued, reason, traceback)
        queued.redelivered = True
        queued.orphaned = False
        delay = self.rules.delay_s(queued.attempt) if delay_s is None else delay_s
        self._retries.add(queued, now + delay)
        return True, None

    def reject(self, identity: bytes, seq: int, *, reason: str, traceback: str) -> ExhaustedMessage | None:
        """Return, as a dead letter, a message that a member will never be able to handle.

        None if the member did not have it.
        """
        queued = self._held_by(identity, seq)
        if queued is None:
            return None
        self._end_flight(queued)
        _move(queued, DeliveryEvent.REJECT)
        self._remove(queued)
        return ExhaustedMessage(queued, reason, traceback)

    def requeue(self, identity: bytes, seqs: Iterable[int]) -> int:
        """Take back what a member, about to leave, returns unstarted; return how many it did not have."""
        if identity in self.members:
            self.members[identity].leaving = True
        unknown = 0
        returned = []
        for seq in seqs:
            queued = self._held_by(identity, seq)
            if queued is None:
                unknown += 1
                continue
            if queued.orphaned:
                self._orphans.mark(queued)
            self._end_flight(queued)
            _move(queued, DeliveryEvent.RETURN)
            queued.attempt -= 1
            returned.append(queued)
        self._ready.requeue(returned)
        return unknown

    def abandon(
        self, identity: bytes, seqs: Iterable[int], reason: str
    ) -> tuple[int, list[ExhaustedMessage]]:
        """Redeliver messages that a member has started and, about to leave, will not finish.

        Returns:
            The number of messages that it did not have, and the messages without attempts left.
        """
        wanted = dict.fromkeys(seqs)
        lost = [queued for seq in wanted if (queued := self._held_by(identity, seq)) is not None]
        if not lost:
            return len(wanted), []
        member = self.members[identity]
        member.leaving = True
        return len(wanted) - len(lost), self._fail(member, lost, DeliveryEvent.LOST, reason)

    def rejoin(self, identity: bytes, prefetch: int, started: Iterable[int]) -> None:
        """Keep a member that joins again, and take back all messages but those that it has started."""
        kept = set(started)
        self.requeue(identity, [seq for seq in self.in_flight_of(identity) if seq not in kept])
        member = self.members[identity]
        member.leaving = False
        member.prefetch = prefetch
        self._keys.unblock(member)

    def in_flight_of(self, identity: bytes) -> list[int]:
        """Return the numbers of the messages that a member has in flight."""
        return [seq for seq in self.messages if self._held_by(identity, seq) is not None]

    def first_deliveries(self) -> list[int]:
        """Return the numbers of the messages in flight for the first time."""
        return [seq for seq, one in self.messages.items() if one.state is _IN_FLIGHT and one.attempt == 1]

    def discard(self, seqs: Iterable[int]) -> int:
        """Remove messages that the stream no longer keeps for the group, and return how many these are.

        Members may still handle them.
        """
        discarded = 0
        for seq in seqs:
            queued = self.messages.get(seq)
            if queued is not None:
                if queued.state is _IN_FLIGHT:
                    self._end_flight(queued)
                else:
                    self._end_wait(queued)
                _move(queued, DeliveryEvent.DISCARD)
                self._remove(queued)
                discarded += 1
        return discarded

    def discard_waiting(self, seqs: Iterable[int]) -> list[QueuedMessage]:
        """Remove those messages that are not in flight, and return them."""
        found = [queued for seq in seqs if (queued := self.messages.get(seq)) is not None]
        waiting = [queued for queued in found if queued.state is not _IN_FLIGHT]
        self.discard([queued.message.seq for queued in waiting])
        return waiting

    def unload(self) -> int | None:
        """Remove messages that have never been delivered, since the group has no members.

        Returns:
            The lowest of their numbers, to offer them again from there; None if there are none.
        """
        fresh = [seq for seq, one in self.messages.items() if not (one.attempt or one.redelivered)]
        self.discard(fresh)
        self._sweep()
        return min(fresh, default=None)

    def extend_deadlines(self, identity: bytes, seqs: Iterable[int], now: float) -> int:
        """Restart the deadlines of messages that a member still has; return how many it did not have."""
        unknown = 0
        kept: dict[QueuedMessage, None] = {}
        for seq in seqs:
            queued = self._held_by(identity, seq)
            if queued is None:
                unknown += 1
            else:
                kept[queued] = None
        if kept:
            self._deadlines.add(now + self.rules.ack_timeout_s, list(kept), self.in_flight)
        return unknown

    def expire(self, now: float) -> tuple[list[ExhaustedMessage], list[GroupMember]]:
        """Time out deliveries, and end the pauses that are over.

        Returns:
            The messages without attempts left, and the members that have become silent.
        """
        self._end_pauses(now)  # here too: without a member that has credit, nothing is assigned
        late: dict[GroupMember, list[QueuedMessage]] = {}
        for queued in self._deadlines.take_late(now):
            assert queued.member is not None
            late.setdefault(queued.member, []).append(queued)
        exhausted = []
        reason = f"not acknowledged within {self.rules.ack_timeout_s:g} s"
        for member, batch in late.items():
            member.silent = True
            exhausted += self._fail(member, batch, DeliveryEvent.TIMEOUT, reason)
        return exhausted, list(late)

    def next_due(self) -> float | None:
        """Return the time of the next deadline or retry; None if there is none."""
        due = [time for time in (self._retries.next(), self._deadlines.next()) if time is not None]
        return min(due, default=None)

    def _end_pauses(self, now: float) -> None:
        due = self._retries.take_due(now)
        for queued in due:
            _move(queued, DeliveryEvent.DUE)
        self._ready.prepend(due)

    def _held_by(self, identity: bytes, seq: int) -> QueuedMessage | None:
        queued = self.messages.get(seq)
        if queued is None or queued.state is not _IN_FLIGHT or queued.member is None:
            return None
        return queued if queued.member.identity == identity else None

    def _fail(
        self, member: GroupMember, batch: list[QueuedMessage], event: DeliveryEvent, reason: str
    ) -> list[ExhaustedMessage]:
        """Quarantine the messages of a lost or silent member; only one that it had alone can be exhausted."""
        dead = []
        alone = member.in_flight == 1
        for queued in batch:
            exhausted = alone and queued.attempt >= self.rules.max_deliver
            if not exhausted:
                self._orphans.mark(queued)
            self._end_flight(queued)
            _move(queued, event, exhausted=exhausted)
            if exhausted:
                self._remove(queued)
                dead.append(ExhaustedMessage(queued, reason))
            else:
                queued.redelivered = True
                self._orphans.append(queued)
        return dead

    def _end_flight(self, queued: QueuedMessage) -> None:
        """Give the member its credit back."""
        member = queued.member
        assert member is not None
        member.in_flight -= 1
        self.in_flight -= 1
        if queued.message.key:
            self._keys.end_flight(queued.message.key)
        if member.blocked:
            self._keys.unblock(member)

    def _end_wait(self, queued: QueuedMessage) -> None:
        """Let a settled message be skipped where it waits, and sweep if there are many."""
        if queued.orphaned:
            self._orphans.finish(queued)
        self._stale += 1
        if self._stale > len(self.messages) + _MAX_STALE:
            self._sweep()

    def _sweep(self) -> None:
        """Drop settled messages, which pile up while no member takes any."""
        self._stale = 0
        for part in (self._ready, self._orphans, self._retries, self._keys):
            part.sweep()

    def _remove(self, queued: QueuedMessage) -> None:
        message = queued.message
        del self.messages[message.seq]
        self.size -= len(message.payload) + len(message.headers)


def _move(queued: QueuedMessage, event: DeliveryEvent, *, exhausted: bool = False) -> None:
    then = next_state(queued.state, event, exhausted=exhausted)
    assert then is not None, f"{event.name} of a message that is {queued.state.name}"
    queued.state = then
