"""The messages that a stream has ready for one consumer group: who gets which, and what becomes of them."""

import heapq
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import count
from typing import NamedTuple

from colugo.protocol.delivery import Event, State, next_state
from colugo.protocol.messages import Message

# members of an enum are slow to get, and these are needed for each message
_READY = State.READY
_IN_FLIGHT = State.IN_FLIGHT
_ACKNOWLEDGED = State.ACKNOWLEDGED


@dataclass(frozen=True, slots=True)
class Rules:
    """How often, and how fast, messages are handed out.

    Attributes:
        max_deliver: how many tries a message has.
        ack_timeout_s: seconds until a try of which nothing is heard has failed.
        retry_delay_s: seconds between a nack and the next try; doubled for each further one.
        most_delay_s: where the doubling ends.
    """

    max_deliver: int = 2
    ack_timeout_s: float = 30.0
    retry_delay_s: float = 1.0
    most_delay_s: float = 60.0

    def delay_s(self, attempt: int) -> float:
        """How long to wait after a try that was the nth."""
        return min(self.retry_delay_s * 2.0 ** min(attempt - 1, 64), self.most_delay_s)


@dataclass(eq=False, slots=True)
class Member:
    """A consumer of the group.

    Attributes:
        identity: of its connection.
        prefetch: how many messages it may have at a time.
        held: how many it has.
        silent: whether it has let a message time out, and said nothing since: it gets no more.
        blocked: lines of keys that wait until it has room.
    """

    identity: bytes
    prefetch: int
    held: int = 0
    silent: bool = False
    blocked: dict["_Line", None] = field(default_factory=dict)

    @property
    def room(self) -> int:
        """How many messages it can be given now."""
        return 0 if self.silent else self.prefetch - self.held


class Entry:
    """A message in the group.

    Attributes:
        message: the message.
        state: where it is.
        attempt: how often it has been handed out, this time included.
        redelivered: whether it may have been handed out before.
        member: who has it, or had it last.
        deadline: when the try has failed, seconds.
        alone: whether the member has nothing else: if it is lost, this message is to blame.
    """

    __slots__ = ("alone", "attempt", "deadline", "member", "message", "redelivered", "state")

    def __init__(self, message: Message, tries: int = 0, *, redelivered: bool = False) -> None:
        self.message = message
        self.state: State = _READY
        self.attempt = tries
        self.redelivered = redelivered
        self.member: Member | None = None
        self.deadline = 0.0
        self.alone = False


@dataclass(eq=False, slots=True)
class _Line:
    """Messages of one key, of which a member has some: the others go to the same one, after them."""

    member: Member
    in_flight: int = 0
    waiting: deque[Entry] = field(default_factory=deque)


class Dead(NamedTuple):
    """A message whose tries are used up.

    Attributes:
        entry: it.
        reason: why the last one failed.
        traceback: of the callback's exception; empty if there was none.
    """

    entry: Entry
    reason: str
    traceback: str = ""


class GroupQueue:
    """Hands the messages of a stream to the members of one group; knows no socket and no clock.

    A member gets as many as it has room for. Messages of one key go to one member at a time, in their
    order; those without a key to whoever has room. When a member is lost or silent, what it had is
    *suspect*: it is redelivered one message at a time, to a member that has nothing else meanwhile. So one
    that kills its consumers is found out, and does not take others with it.

    Args:
        rules: how often, and how fast.
    """

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.entries: dict[int, Entry] = {}
        """What is not finished yet, by number."""
        self.members: dict[bytes, Member] = {}
        self.in_flight = 0
        """How many messages the members have."""
        self.size = 0
        """Bytes of the payloads in `entries`."""
        self._ready: deque[Entry] = deque()
        self._suspects: deque[Entry] = deque()
        self._carer: Member | None = None
        self._lines: dict[str, _Line] = {}
        self._woken: dict[_Line, None] = {}
        self._pauses: list[tuple[float, int, Entry]] = []
        self._tie = count()
        self._deadlines: deque[tuple[float, list[Entry]]] = deque()

    # --- what comes in

    def offer(self, messages: Iterable[Message]) -> None:
        """Take messages that have never been handed out, in the order of their numbers."""
        entries, ready = self.entries, self._ready
        for message in messages:
            entries[message.seq] = entry = Entry(message)
            ready.append(entry)
            self.size += len(message.payload)

    def offer_again(self, message: Message, tries: int) -> Dead | None:
        """Take a message that may have been handed out before the producer was started again.

        Args:
            message: it.
            tries: how often it is known to have been.

        Returns:
            Itself as a dead letter, if it has been in flight so often when the producer ended.
        """
        entry = Entry(message, tries, redelivered=True)
        if tries > self.rules.max_deliver:
            entry.state = State.DEAD
            return Dead(entry, f"the producer ended {tries} times while a consumer had it")
        self.entries[message.seq] = entry
        self.size += len(message.payload)
        (self._suspects if tries >= self.rules.max_deliver else self._ready).append(entry)
        return None

    def join(self, identity: bytes, prefetch: int) -> None:
        """A member has come."""
        self.members[identity] = Member(identity, prefetch)

    def leave(self, identity: bytes, reason: str) -> list[Dead]:
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
            entry for entry in self.entries.values() if entry.member is member and entry.state is _IN_FLIGHT
        ]
        dead = self._fail(member, held, Event.LOST, reason)
        for line in member.blocked:
            self._woken[line] = None
        if self._carer is member:
            self._carer = None
        return dead

    # --- what is handed out

    def assign(self, now: float) -> list[tuple[Member, list[Entry]]]:
        """Choose who gets which messages now.

        Args:
            now: seconds.
        """
        given: dict[Member, list[Entry]] = {}
        if self._pauses:
            self._end_pauses(now)
        if not any(member.room > 0 for member in self.members.values()):
            return []
        if self._suspects or self._carer is not None:
            self._assign_suspect(given)
        if self._woken:
            self._assign_woken(given)
        if self._ready:
            self._assign_ready(given)
            if self._woken:
                self._assign_woken(given)
        if not given:
            return []
        deadline = now + self.rules.ack_timeout_s
        for entries in given.values():
            self._deadlines.append((deadline, entries))
            for entry in entries:
                entry.deadline = deadline
        return list(given.items())

    def _assign_ready(self, given: dict[Member, list[Entry]]) -> None:
        """Those that wait in line, evenly to the members that have room."""
        ready = self._ready
        free = sorted(
            (member for member in self.members.values() if member.room > 0 and member is not self._carer),
            key=_held,
        )
        for number, member in enumerate(free):
            share = -(-len(ready) // (len(free) - number))
            room = min(member.room, share)
            batch: list[Entry] = []
            while room and ready:
                entry = ready.popleft()
                if entry.state is not _READY:  # released, or acknowledged late
                    continue
                if entry.message.key and not self._may_go(entry, member):
                    continue
                entry.state = _IN_FLIGHT
                entry.attempt += 1
                entry.member = member
                batch.append(entry)
                room -= 1
            if batch:
                member.held += len(batch)
                self.in_flight += len(batch)
                given.setdefault(member, []).extend(batch)

    def _may_go(self, entry: Entry, member: Member) -> bool:
        """Whether a message with a key can go to a member; else it waits in the line of its key."""
        key = entry.message.key
        line = self._lines.get(key)
        if line is None:
            self._lines[key] = _Line(member, 1)
            return True
        if line.member is member and line.in_flight and not line.waiting:
            line.in_flight += 1
            return True
        line.waiting.append(entry)
        self._woken[line] = None
        return False

    def _assign_woken(self, given: dict[Member, list[Entry]]) -> None:
        """Those that waited for others of their key, or for the member that has these."""
        woken, self._woken = self._woken, {}
        for line in woken:
            if not line.in_flight:
                free = [one for one in self.members.values() if one.room > 0 and one is not self._carer]
                if not free:
                    self._woken[line] = None
                    continue
                line.member = min(free, key=_held)
            member = line.member
            while line.waiting and member.room > 0 and member is not self._carer:
                entry = line.waiting.popleft()
                if entry.state is _READY:
                    line.in_flight += 1
                    self._give(entry, member, given)
            if line.waiting:
                member.blocked[line] = None

    def _assign_suspect(self, given: dict[Member, list[Entry]]) -> None:
        """One suspect to a member that has nothing else."""
        suspects = self._suspects
        while suspects and suspects[0].state is not _READY:
            suspects.popleft()
        carer = self._carer
        if not suspects:
            if carer is not None and not carer.held:
                self._dismiss_carer()
            return
        if carer is None or carer.silent or carer.identity not in self.members:
            self._dismiss_carer()
            able = [one for one in self.members.values() if not one.silent]
            if not able:
                return
            carer = self._carer = min(able, key=_held)
        if carer.held:
            return
        entry = suspects.popleft()
        entry.alone = True
        key = entry.message.key
        if key:
            self._lines.setdefault(key, _Line(carer)).in_flight += 1
        self._give(entry, carer, given)

    def _dismiss_carer(self) -> None:
        if self._carer is not None:
            for line in self._carer.blocked:
                self._woken[line] = None
            self._carer.blocked.clear()
            self._carer = None

    def _give(self, entry: Entry, member: Member, given: dict[Member, list[Entry]]) -> None:
        entry.state = _IN_FLIGHT
        entry.attempt += 1
        entry.member = member
        member.held += 1
        self.in_flight += 1
        given.setdefault(member, []).append(entry)

    # --- what members say

    def hear(self, identity: bytes) -> None:
        """Something has come from a member: it is not silent."""
        member = self.members.get(identity)
        if member is not None:
            member.silent = False

    def acknowledge(self, ranges: Iterable[tuple[int, int]]) -> tuple[list[int], int]:
        """Members have handled messages.

        Args:
            ranges: first and last number of each run; a stranger's may be as long as it likes.

        Returns:
            The numbers that are finished now, and how many of the others were none of ours.
        """
        done: list[int] = []
        unknown = 0
        entries = self.entries
        for first, last in ranges:
            if last - first >= len(entries):
                numbers: Iterable[int] = [seq for seq in entries if first <= seq <= last]
                unknown += last - first + 1 - len(numbers)  # type: ignore[arg-type]
            else:
                numbers = range(first, last + 1)
            for seq in numbers:
                entry = entries.get(seq)
                if entry is None or entry.attempt == 0:
                    unknown += 1
                    continue
                if entry.state is _IN_FLIGHT:
                    self._take_back(entry)
                entry.state = _ACKNOWLEDGED
                self._drop(seq, entry)
                done.append(seq)
        return done, unknown

    def nack(
        self, identity: bytes, seq: int, now: float, *, delay_s: float | None, reason: str, traceback: str
    ) -> tuple[bool, Dead | None]:
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
        self._move(entry, Event.NACK, exhausted=exhausted)
        if exhausted:
            self._drop(seq, entry)
            return True, Dead(entry, reason, traceback)
        entry.redelivered = True
        delay = self.rules.delay_s(entry.attempt) if delay_s is None else delay_s
        heapq.heappush(self._pauses, (now + delay, next(self._tie), entry))
        return True, None

    def give_back(self, identity: bytes, seqs: Iterable[int]) -> int:
        """A member returns messages that it has not begun with.

        Returns:
            How many of them it did not have.
        """
        strange = 0
        returned = []
        for seq in seqs:
            entry = self._held_by(identity, seq)
            if entry is None:
                strange += 1
                continue
            self._take_back(entry)
            self._move(entry, Event.RETURN)
            entry.attempt -= 1
            returned.append(entry)
        for entry in sorted(returned, key=_number, reverse=True):
            line = self._lines.get(entry.message.key)
            if line is None:
                self._ready.appendleft(entry)
            else:
                line.waiting.appendleft(entry)
                self._woken[line] = None
        return strange

    def working(self, identity: bytes, seqs: Iterable[int], now: float) -> int:
        """A member is still at work with messages, or has not begun with them: they have more time.

        Returns:
            How many of them it did not have.
        """
        strange = 0
        kept = []
        deadline = now + self.rules.ack_timeout_s
        for seq in seqs:
            entry = self._held_by(identity, seq)
            if entry is None:
                strange += 1
            else:
                entry.deadline = deadline
                kept.append(entry)
        if kept:
            self._deadlines.append((deadline, kept))
        return strange

    def release(self, seqs: Iterable[int]) -> int:
        """The stream no longer keeps messages for the group; a member that has one may go on with it.

        Returns:
            How many of them there were.
        """
        released = 0
        for seq in seqs:
            entry = self.entries.get(seq)
            if entry is not None:
                if entry.state is _IN_FLIGHT:
                    self._take_back(entry)
                self._move(entry, Event.RELEASE)
                self._drop(seq, entry)
                released += 1
        return released

    # --- time

    def expire(self, now: float) -> tuple[list[Dead], list[Member]]:
        """Take back what no member has said anything of for too long.

        Args:
            now: seconds.

        Returns:
            The dead letters among them, and the members that have become silent.
        """
        late: dict[Member, list[Entry]] = {}
        while self._deadlines and self._deadlines[0][0] <= now:
            _, entries = self._deadlines.popleft()
            for entry in entries:
                if entry.state is _IN_FLIGHT and entry.deadline <= now and entry.member is not None:
                    late.setdefault(entry.member, []).append(entry)
        dead = []
        for member, entries in late.items():
            member.silent = True
            once = list(dict.fromkeys(entries))
            reason = f"not acknowledged within {self.rules.ack_timeout_s:g} s"
            dead += self._fail(member, once, Event.TIMEOUT, reason)
        return dead, list(late)

    def next_due(self) -> float | None:
        """When to look again, seconds; None if nothing waits for a time."""
        deadlines = self._deadlines
        while deadlines and not any(_waits_until(entry, deadlines[0][0]) for entry in deadlines[0][1]):
            deadlines.popleft()
        while self._pauses and self._pauses[0][2].state is not State.PAUSED:
            heapq.heappop(self._pauses)
        times = [times[0][0] for times in (deadlines, self._pauses) if times]
        return min(times, default=None)

    def flight(self) -> list[int]:
        """The numbers of first tries that members have now."""
        return [
            seq for seq, entry in self.entries.items() if entry.state is _IN_FLIGHT and entry.attempt == 1
        ]

    # --- within

    def _held_by(self, identity: bytes, seq: int) -> Entry | None:
        entry = self.entries.get(seq)
        if entry is None or entry.state is not _IN_FLIGHT or entry.member is None:
            return None
        return entry if entry.member.identity == identity else None

    def _move(self, entry: Entry, event: Event, *, exhausted: bool = False) -> None:
        then = next_state(entry.state, event, tries=entry.attempt, exhausted=exhausted)
        assert then is not None, f"{event.name} of a message that is {entry.state.name}"
        entry.state = then

    def _fail(self, member: Member, entries: list[Entry], event: Event, reason: str) -> list[Dead]:
        """The member is gone or silent: redeliver what it had, one by one, but for one that it had alone."""
        dead = []
        alone = member.held == 1
        for entry in entries:
            exhausted = alone and entry.attempt >= self.rules.max_deliver
            self._take_back(entry)
            self._move(entry, event, exhausted=exhausted)
            if exhausted:
                self._drop(entry.message.seq, entry)
                dead.append(Dead(entry, reason))
            else:
                entry.redelivered = True
                self._suspects.append(entry)
        return dead

    def _take_back(self, entry: Entry) -> None:
        """The member no longer has it."""
        member = entry.member
        assert member is not None
        member.held -= 1
        self.in_flight -= 1
        entry.alone = False
        key = entry.message.key
        if key:
            self._leave_line(key)
        if member.blocked:
            self._woken.update(member.blocked)
            member.blocked.clear()

    def _leave_line(self, key: str) -> None:
        line = self._lines[key]
        line.in_flight -= 1
        if line.in_flight:
            return
        if line.waiting:
            self._woken[line] = None
        else:
            del self._lines[key]

    def _drop(self, seq: int, entry: Entry) -> None:
        del self.entries[seq]
        self.size -= len(entry.message.payload)

    def _end_pauses(self, now: float) -> None:
        pauses = self._pauses
        due = []
        while pauses and pauses[0][0] <= now:
            entry = heapq.heappop(pauses)[2]
            if entry.state is State.PAUSED:
                self._move(entry, Event.DUE)
                due.append(entry)
        self._ready.extendleft(reversed(due))


def _held(member: Member) -> int:
    return member.held


def _number(entry: Entry) -> int:
    return entry.message.seq


def _waits_until(entry: Entry, deadline: float) -> bool:
    return entry.state is _IN_FLIGHT and entry.deadline == deadline
