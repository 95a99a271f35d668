"""The messages that a stream has ready for one consumer group: who gets which, and what becomes of them."""

import heapq
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterable, Sequence
from itertools import count
from operator import attrgetter, itemgetter

from colugo.protocol.streams.ack_deadlines import AckDeadlines
from colugo.protocol.streams.attempts import (
    DeliveryRules,
    ExhaustedMessage,
    GroupMember,
    QueuedMessage,
    number_of,
)
from colugo.protocol.streams.key_order import KeyOrder
from colugo.protocol.streams.quarantine import Quarantine
from colugo.protocol.streams.stream_message import StreamMessage
from colugo.protocol.streams.transitions import DeliveryEvent, DeliveryState, next_state

# members of an enum are slow to get, and these are needed for each message
_READY = DeliveryState.READY
_IN_FLIGHT = DeliveryState.IN_FLIGHT
_ACKNOWLEDGED = DeliveryState.ACKNOWLEDGED
_seq, _headers, _payload = map(itemgetter, (0, 2, 3))
_held = attrgetter("in_flight")
_WIDE = 64
"""Numbers of a range that is so long are not looked at one by one."""
_SPARE = 1000
"""How many finished messages may wait in line with the others before they are looked for."""

Given = dict[GroupMember, list[QueuedMessage]]


class GroupQueue:
    """Hands the messages of a stream to the members of one group; knows no socket and no clock.

    A member gets as many as it has room for. Messages of one key go to one member at a time, in their
    order; those without a key to whoever has room. When a member is lost or silent, what it had is
    *suspect*: it is redelivered one message at a time, to a member that has nothing else meanwhile. So one
    that kills its consumers is found out, and does not take others with it.

    Args:
        rules: how often, and how fast.
    """

    def __init__(self, rules: DeliveryRules) -> None:
        self.rules = rules
        self.messages: dict[int, QueuedMessage] = {}
        """What is not finished yet, by number."""
        self.members: dict[bytes, GroupMember] = {}
        self.in_flight = 0
        """How many messages the members have."""
        self.size = 0
        """Bytes of the payloads and headers in `entries`."""
        self._ready: deque[QueuedMessage] = deque()
        self._lines = KeyOrder()
        self._suspects = Quarantine(self._lines)
        self._pauses: list[tuple[float, int, QueuedMessage]] = []
        self._tie = count()
        self._deadlines = AckDeadlines()
        self._finished_in_line = 0

    # --- what comes in

    def offer(self, messages: Iterable[StreamMessage]) -> None:
        """Take messages that have never been handed out, in the order of their numbers."""
        messages = list(messages)
        entries = list(map(QueuedMessage, messages))
        self.messages.update(zip(map(_seq, messages), entries, strict=True))
        self._ready.extend(entries)
        self.size += sum(map(len, map(_payload, messages))) + sum(map(len, map(_headers, messages)))

    def offer_redelivery(self, message: StreamMessage, tries: int) -> ExhaustedMessage | None:
        """Take a message that may have been handed out before the producer was started again.

        Args:
            message: it.
            tries: how often it is known to have been.

        Returns:
            Itself as a dead letter, if it has been in flight so often when the producer ended.
        """
        entry = QueuedMessage(message, tries, redelivered=True)
        if tries > self.rules.max_deliver:
            entry.state = _IN_FLIGHT  # where it was when the producer ended
            self._move(entry, DeliveryEvent.LOST, exhausted=True)
            return ExhaustedMessage(entry, f"the producer ended {tries} times while a consumer had it")
        self.messages[message.seq] = entry
        self.size += len(message.payload) + len(message.headers)
        if tries >= self.rules.max_deliver:
            self._suspects.mark(entry)
            self._suspects.add(entry)
        else:
            self._ready.append(entry)
        return None

    def join(self, identity: bytes, prefetch: int) -> None:
        """A member has come, by a connection that no other one has."""
        assert identity not in self.members, f"{identity.hex()} is a member already"
        self.members[identity] = GroupMember(identity, prefetch)

    def leave(self, identity: bytes, reason: str) -> list[ExhaustedMessage]:
        """A member has gone; what it had is redelivered.

        Args:
            identity: its connection.
            reason: for dead letters.
        """
        member = self.members.pop(identity, None)
        if member is None:
            return []
        member.silent = True  # lines of keys may still name it
        held = [
            entry for entry in self.messages.values() if entry.member is member and entry.state is _IN_FLIGHT
        ]
        dead = self._fail(member, held, DeliveryEvent.LOST, reason)
        self._suspects.leave(member)
        return dead

    # --- what is handed out

    def assign(self, now: float) -> list[tuple[GroupMember, list[QueuedMessage]]]:
        """Choose who gets which messages now.

        Args:
            now: seconds, never less than before.
        """
        given: Given = {}
        if self._pauses:
            self._end_pauses(now)
        if not any(member.room > 0 for member in self.members.values()):
            return []
        if self._suspects.active and (taken := self._suspects.take(self.members.values())) is not None:
            self._give(*taken, given)
        if self._lines.woken:
            self._assign_lines(given)
        if self._ready:
            self._assign_ready(given)
            if self._lines.woken:
                self._assign_lines(given)
        deadline = now + self.rules.ack_timeout_s
        for entries in given.values():
            self._deadlines.add(deadline, entries, self.in_flight)
        return list(given.items())

    def _free(self) -> list[GroupMember]:
        """Who can be given messages that are not suspect, those first that have the fewest."""
        carer = self._suspects.carer
        able = [one for one in self.members.values() if one.room > 0 and one is not carer]
        return sorted(able, key=_held) if len(able) > 1 else able

    def _assign_ready(self, given: Given) -> None:
        """Those that wait for nothing, evenly to the members that have room, until nobody has."""
        while self._ready and (free := self._free()):
            for number, member in enumerate(free):
                share = -(-len(self._ready) // (len(free) - number))
                batch = self._take_ready(member, min(member.room, share))
                if batch:
                    member.in_flight += len(batch)
                    self.in_flight += len(batch)
                    given.setdefault(member, []).extend(batch)

    def _take_ready(self, member: GroupMember, room: int) -> list[QueuedMessage]:
        ready, lines = self._ready, self._lines
        batch: list[QueuedMessage] = []
        while room and ready:
            entry = ready.popleft()
            if entry.state is not _READY:  # released, or acknowledged late
                continue
            if entry.message.key and not lines.may_go(entry, member):
                continue
            entry.state = _IN_FLIGHT
            entry.attempt += 1
            entry.member = member
            batch.append(entry)
            room -= 1
        return batch

    def _assign_lines(self, given: Given) -> None:
        """Those that waited for others of their key, or for the member that has these."""
        for line in self._lines.take_woken():
            if not line.in_flight:
                free = self._free()
                if not free:
                    self._lines.wait(line)
                    continue
                line.member = free[0]
            member = line.member
            assert member is not None
            while line.waiting and member.room > 0 and member is not self._suspects.carer:
                entry = line.waiting.popleft()
                if entry.state is _READY:
                    line.in_flight += 1
                    self._give(entry, member, given)
            if line.waiting:
                member.blocked[line] = None

    def _give(self, entry: QueuedMessage, member: GroupMember, given: Given) -> None:
        entry.state = _IN_FLIGHT
        entry.attempt += 1
        entry.member = member
        member.in_flight += 1
        self.in_flight += 1
        given.setdefault(member, []).append(entry)

    # --- what members say

    def mark_alive(self, identity: bytes) -> bool:
        """Something has come from a member; whether it had been silent."""
        member = self.members.get(identity)
        if member is None or not member.silent:
            return False
        member.silent = False
        self._lines.wake(member)
        return True

    def acknowledge(self, ranges: Iterable[tuple[int, int]]) -> tuple[list[int], int]:
        """Members have handled messages.

        Args:
            ranges: first and last number of each run; a stranger's may be as long as it likes.

        Returns:
            The numbers that are finished now, and how many of the others were none of ours.
        """
        done: list[int] = []
        unknown = size = 0
        entries = self.messages
        known: list[int] = []
        for first, last in ranges:
            numbers: Sequence[int] = range(first, last + 1)
            if last - first >= _WIDE:
                known = known or sorted(entries)
                numbers = known[bisect_left(known, first) : bisect_right(known, last)]
                unknown += last - first + 1 - len(numbers)
            for seq in numbers:
                entry = entries.get(seq)
                if entry is None or not (entry.attempt or entry.redelivered):
                    unknown += 1
                    continue
                if entry.state is _IN_FLIGHT:
                    self._take_back(entry)
                else:
                    self._leave_wait(entry)
                entry.state = _ACKNOWLEDGED
                del entries[seq]
                _, _, headers, payload, *_ = entry.message
                size += len(payload) + len(headers)
                done.append(seq)
        self.size -= size
        return done, unknown

    def nack(
        self, identity: bytes, seq: int, now: float, *, delay_s: float | None, reason: str, traceback: str
    ) -> tuple[bool, ExhaustedMessage | None]:
        """A member could not handle a message.

        Args:
            identity: of the member's connection.
            seq: number of the message.
            now: seconds.
            delay_s: how long to wait for the next try; None for what the rules say.
            reason: why.
            traceback: of what its callback raised.

        Returns:
            Whether the member had it, and the dead letter if that was the last try.
        """
        entry = self._held_by(identity, seq)
        if entry is None:
            return False, None
        exhausted = entry.attempt >= self.rules.max_deliver
        self._take_back(entry)
        self._move(entry, DeliveryEvent.NACK, exhausted=exhausted)
        if exhausted:
            self._drop(seq, entry)
            return True, ExhaustedMessage(entry, reason, traceback)
        entry.redelivered = True
        entry.suspect = False
        delay = self.rules.delay_s(entry.attempt) if delay_s is None else delay_s
        heapq.heappush(self._pauses, (now + delay, next(self._tie), entry))
        return True, None

    def requeue(self, identity: bytes, seqs: Iterable[int]) -> int:
        """A member returns messages that it has not begun with, since it is about to leave: it gets no more.

        Returns:
            How many of them it did not have.
        """
        if identity in self.members:
            self.members[identity].leaving = True
        strange = 0
        returned = []
        for seq in seqs:
            entry = self._held_by(identity, seq)
            if entry is None:
                strange += 1
                continue
            if entry.suspect:
                self._suspects.mark(entry)
            self._take_back(entry)
            self._move(entry, DeliveryEvent.RETURN)
            entry.attempt -= 1
            returned.append(entry)
        self._put_back(sorted(returned, key=number_of))
        return strange

    def _put_back(self, returned: list[QueuedMessage]) -> None:
        """Let messages wait before those that have never been handed out."""
        by_key: dict[str, list[QueuedMessage]] = {}
        for entry in returned:
            if not entry.suspect:
                by_key.setdefault(entry.message.key, []).append(entry)
        lined = {key for key, entries in by_key.items() if key and self._lines.put_back(key, entries)}
        for entry in reversed(returned):
            if entry.suspect:
                self._suspects.add_first(entry)
            elif entry.message.key not in lined:
                self._ready.appendleft(entry)

    def abandon(
        self, identity: bytes, seqs: Iterable[int], reason: str
    ) -> tuple[int, list[ExhaustedMessage]]:
        """A member that is about to leave has begun with messages, and will not end them.

        Args:
            identity: of the member's connection.
            seqs: numbers of the messages.
            reason: for dead letters.

        Returns:
            How many of them it did not have, and the dead letters.
        """
        wanted = dict.fromkeys(seqs)
        held = [entry for seq in wanted if (entry := self._held_by(identity, seq)) is not None]
        if held:
            self.members[identity].leaving = True
        dead = self._fail(self.members[identity], held, DeliveryEvent.LOST, reason) if held else []
        return len(wanted) - len(held), dead

    def rejoin(self, identity: bytes, begun: Iterable[int]) -> None:
        """A member stays, and returns what it has not begun with.

        Args:
            identity: of the member's connection.
            begun: numbers of the messages that it has begun with.
        """
        kept = set(begun)
        self.requeue(identity, [seq for seq in self.in_flight_of(identity) if seq not in kept])
        member = self.members[identity]
        member.leaving = False
        self._lines.wake(member)

    def in_flight_of(self, identity: bytes) -> list[int]:
        """The numbers of the messages that a member has."""
        return [seq for seq in self.messages if self._held_by(identity, seq) is not None]

    def extend_deadlines(self, identity: bytes, seqs: Iterable[int], now: float) -> int:
        """A member is still at work with messages, or has not begun with them: they have more time.

        Returns:
            How many of them it did not have.
        """
        strange = 0
        kept: dict[QueuedMessage, None] = {}
        for seq in seqs:
            entry = self._held_by(identity, seq)
            if entry is None:
                strange += 1
            else:
                kept[entry] = None
        if kept:
            self._deadlines.add(now + self.rules.ack_timeout_s, list(kept), self.in_flight)
        return strange

    def discard(self, seqs: Iterable[int]) -> int:
        """The stream no longer keeps messages for the group; a member that has one may go on with it.

        Returns:
            How many of them there were.
        """
        released = 0
        for seq in seqs:
            entry = self.messages.get(seq)
            if entry is not None:
                if entry.state is _IN_FLIGHT:
                    self._take_back(entry)
                else:
                    self._leave_wait(entry)
                self._move(entry, DeliveryEvent.RELEASE)
                self._drop(seq, entry)
                released += 1
        return released

    def discard_waiting(self, seqs: Iterable[int]) -> list[QueuedMessage]:
        """Release those messages that no member has.

        Returns:
            What they were.
        """
        entries = [entry for seq in seqs if (entry := self.messages.get(seq)) is not None]
        taken = [entry for entry in entries if entry.state is not _IN_FLIGHT]
        self.discard([entry.message.seq for entry in taken])
        return taken

    def unload(self) -> int | None:
        """Let go of what has not been handed out, as there are no members; it has to be offered again.

        Returns:
            The lowest number of it; None if there is nothing.
        """
        fresh = [seq for seq, entry in self.messages.items() if not (entry.attempt or entry.redelivered)]
        self.discard(fresh)
        self._sweep()
        return min(fresh, default=None)

    # --- time

    def expire(self, now: float) -> tuple[list[ExhaustedMessage], list[GroupMember]]:
        """Take back what no member has said anything of for too long; and pauses end.

        Args:
            now: seconds.

        Returns:
            The dead letters among them, and the members that have become silent.
        """
        self._end_pauses(now)  # here, too, for there may be nobody to whom anything could be assigned
        late: Given = {}
        for entry in self._deadlines.late(now):
            assert entry.member is not None
            late.setdefault(entry.member, []).append(entry)
        dead = []
        reason = f"not acknowledged within {self.rules.ack_timeout_s:g} s"
        for member, entries in late.items():
            member.silent = True
            dead += self._fail(member, entries, DeliveryEvent.TIMEOUT, reason)
        return dead, list(late)

    def next_due(self) -> float | None:
        """When to look again, seconds; None if nothing waits for a time."""
        while self._pauses and self._pauses[0][2].state is not DeliveryState.PAUSED:
            heapq.heappop(self._pauses)
        deadline = self._deadlines.next()
        if not self._pauses:
            return deadline
        pause = self._pauses[0][0]
        return pause if deadline is None else min(pause, deadline)

    def first_deliveries(self) -> list[int]:
        """The numbers of first tries that members have now."""
        return [
            seq for seq, entry in self.messages.items() if entry.state is _IN_FLIGHT and entry.attempt == 1
        ]

    # --- within

    def _held_by(self, identity: bytes, seq: int) -> QueuedMessage | None:
        entry = self.messages.get(seq)
        if entry is None or entry.state is not _IN_FLIGHT or entry.member is None:
            return None
        return entry if entry.member.identity == identity else None

    def _move(self, entry: QueuedMessage, event: DeliveryEvent, *, exhausted: bool = False) -> None:
        then = next_state(entry.state, event, exhausted=exhausted)
        assert then is not None, f"{event.name} of a message that is {entry.state.name}"
        entry.state = then

    def _fail(
        self, member: GroupMember, entries: list[QueuedMessage], event: DeliveryEvent, reason: str
    ) -> list[ExhaustedMessage]:
        """The member is gone or silent: redeliver what it had, one by one, but for one that it had alone."""
        dead = []
        alone = member.in_flight == 1
        for entry in entries:
            exhausted = alone and entry.attempt >= self.rules.max_deliver
            if not exhausted:
                self._suspects.mark(entry)
            self._take_back(entry)
            self._move(entry, event, exhausted=exhausted)
            if exhausted:
                self._drop(entry.message.seq, entry)
                dead.append(ExhaustedMessage(entry, reason))
            else:
                entry.redelivered = True
                self._suspects.add(entry)
        return dead

    def _take_back(self, entry: QueuedMessage) -> None:
        """The member no longer has it."""
        member = entry.member
        assert member is not None
        member.in_flight -= 1
        self.in_flight -= 1
        if entry.message.key:
            self._lines.leave(entry.message.key)
        if member.blocked:
            self._lines.wake(member)

    def _leave_wait(self, entry: QueuedMessage) -> None:
        """A message that is finished need not be handed out any more; it is skipped where it waits."""
        if entry.suspect:
            self._suspects.finish(entry)
        self._finished_in_line += 1
        if self._finished_in_line > len(self.messages) + _SPARE:
            self._sweep()

    def _sweep(self) -> None:
        """Let go of what is skipped, as members may not take anything for long."""
        self._finished_in_line = 0
        self._ready = deque(entry for entry in self._ready if entry.state is _READY)
        self._suspects.sweep()
        self._pauses = [pause for pause in self._pauses if pause[2].state is DeliveryState.PAUSED]
        heapq.heapify(self._pauses)
        self._lines.sweep()

    def _drop(self, seq: int, entry: QueuedMessage) -> None:
        del self.messages[seq]
        self.size -= len(entry.message.payload) + len(entry.message.headers)

    def _end_pauses(self, now: float) -> None:
        pauses = self._pauses
        due = []
        while pauses and pauses[0][0] <= now:
            entry = heapq.heappop(pauses)[2]
            if entry.state is DeliveryState.PAUSED:
                self._move(entry, DeliveryEvent.DUE)
                due.append(entry)
        self._ready.extendleft(reversed(due))
