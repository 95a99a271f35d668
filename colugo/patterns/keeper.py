"""What a stream keeps: messages until they are done with, and what each group has of them."""

import asyncio
import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Literal, NamedTuple

from colugo.errors import ColugoError, StoreError, StreamFullError
from colugo.net.runtime import Runtime
from colugo.net.store import (
    DeadLetter,
    GroupRecord,
    Opened,
    Outcome,
    Store,
    Transaction,
    Trim,
    size_of,
)
from colugo.net.turn import Turn
from colugo.patterns.base import Complaints
from colugo.patterns.stream_group import Ranges, StreamGroup
from colugo.patterns.tail import Tail
from colugo.protocol.delivery import State
from colugo.protocol.messages import Message
from colugo.protocol.ranges import RangeSet, to_ranges
from colugo.protocol.settlements import BY_RULES, Failure, Settlement
from colugo.protocol.tries import Dead, Entry, Member, Rules

PAGE = 1024
_PAGE_BYTES = 4 * 1024 * 1024
_PENDING_BYTES = 64 * 1024 * 1024
"""How much may wait to be written."""
_RETRY_S = 1.0
_FLIGHT_S = 0.2
_FINISH_S = 5.0
_LINGER_S = 10.0
"""How long a group that is not durable is remembered after its last member was lost."""

_NO_REASON = Failure("nack")

AckPolicy = Literal["all", "any"]
FullPolicy = Literal["reject", "drop-oldest"]
HandOut = Callable[[StreamGroup, Member, list[Entry]], None]


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a stream keeps.

    Attributes:
        max_messages: how many messages, dead letters included.
        max_bytes: how many bytes of them.
        max_age_ms: how many milliseconds a message is kept; None for no limit.
        full: what happens to a message beyond these.
    """

    max_messages: int
    max_bytes: int
    max_age_ms: int | None
    full: FullPolicy


class Totals(NamedTuple):
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


class Keeper:
    """Writes what is sent, offers it to the groups, and removes what all of them are done with.

    Everything that comes up in one turn of the loop, or while a transaction is written, goes into one
    transaction. Messages are handed out when they have been written; a second try of one, when that has.

    Args:
        runtime: the node's.
        store: where messages are kept; open.
        opened: what was in it.
        ack: whose acknowledgement it takes.
        limits: how much is kept.
        rules: how often, and how fast, messages are handed out.
        hand_out: sends messages to a member.
        nudge: asks a member that has become silent to say something.
    """

    def __init__(
        self,
        runtime: Runtime,
        store: Store,
        opened: Opened,
        *,
        ack: AckPolicy,
        limits: Limits,
        rules: Rules,
        hand_out: HandOut,
        nudge: Callable[[Member], None],
    ) -> None:
        self._runtime = runtime
        self._store = store
        self._any = ack == "any"
        self.limits = limits
        self.rules = rules
        self._hand_out = hand_out
        self._nudge = nudge
        self._complaints = Complaints(runtime)
        self.stream_id = opened.stream_id
        self.groups: dict[str, StreamGroup] = {}
        self.forgotten: dict[str, GroupRecord] = {}
        for record in opened.groups:
            if not record.forgotten:
                tries = {seq: count for (name, seq), count in opened.attempts.items() if name == record.name}
                self.groups[record.name] = StreamGroup(record, rules, tries)
            elif record.changed_ms:
                self.forgotten[record.name] = record
        self.count, self.size, self.dead = opened.count, opened.size, opened.dead
        self.sent = self.rejected = self.dropped = self.expired = self.unrouted = self.unknown = 0
        self.error: StoreError | None = None
        """Why nothing can be written now."""
        self.on_news: Callable[[], None] = lambda: None
        """Called when a durable group is new, has changed, or has been forgotten."""
        self._lock = threading.Lock()
        self._last = self._committed = opened.last_seq
        self._tail = Tail(opened.last_seq)
        self._blocked = False
        self._pending: list[Message] = []
        self._pending_bytes = 0
        self._unwritten = 0
        self._unwritten_bytes = 0
        self._waiters: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._next = Transaction()
        self._dirty: dict[str, StreamGroup] = {}
        self._writing = False
        self._stirred: dict[StreamGroup, None] = {}
        self._after: list[Callable[[], None]] = []
        self._taken = RangeSet()
        self._turn = Turn(self._work)
        self._timer: asyncio.TimerHandle | None = None
        self._retry_timer: asyncio.TimerHandle | None = None
        self._flight_timer: asyncio.TimerHandle | None = None
        self._age_timer: asyncio.TimerHandle | None = None
        self._drained: list[asyncio.Future[None]] = []
        self._finishing: list[asyncio.Future[None]] = []
        self._syncing: list[asyncio.Future[None]] = []
        self._lingering: dict[str, asyncio.TimerHandle] = {}
        self._gone = Totals()
        """Of groups that are gone."""
        self._open = False
        self._quiet = False
        self._closed = False
        store.on_corrupt = self._released

    # --- what is sent

    def add(
        self, key: str, headers: bytes, payload: bytes, flags: int, group: str = "", *, force: bool = False
    ) -> int:
        """Take a message; from any thread.

        Args:
            key: its key.
            headers: packed.
            payload: encoded.
            flags: FLAG_TEXT.
            group: the only group that gets it; "" for all.
            force: whether to take it though the stream is full: it is in the store already, as a dead letter.

        Returns:
            Its number.

        Raises:
            StreamFullError: if there is no room.
            StoreError: if the store cannot be written to now.
        """
        size = len(payload) + len(headers) + (len(key.encode()) if key else 0)
        sent_ns = time.time_ns()
        with self._lock:
            if self.error is not None:
                raise StoreError(f"not stored: {self.error}") from self.error
            if self._pending_bytes > _PENDING_BYTES and self._writing:
                self.rejected += 1
                raise StreamFullError(
                    f"{self._pending_bytes} bytes wait to be written to the store; send_wait returns when "
                    "a message has been"
                )
            if self.limits.full == "reject" and not force:
                self._check_room(size)
            self._last = seq = self._last + 1
            self._pending.append(Message(seq, key, headers, payload, flags, sent_ns, group))
            self._pending_bytes += size
            self.sent += 1
        return seq

    def _check_room(self, size: int) -> None:
        limits = self.limits
        messages = self.count + self.dead + self._unwritten + len(self._pending)
        held = self.size + self._unwritten_bytes + self._pending_bytes
        if messages < limits.max_messages and held + size <= limits.max_bytes:
            return
        self.rejected += 1
        dead = f", {self.dead} of them dead letters" if self.dead else ""
        raise StreamFullError(
            f"the stream holds {messages} messages{dead} ({held} bytes): "
            f"max_messages is {limits.max_messages}, max_bytes {limits.max_bytes}"
        )

    @property
    def committed(self) -> int:
        """The number of the last message that was written."""
        return self._committed

    @property
    def totals(self) -> Totals:
        """What all groups have had, those that are gone included."""
        gone, groups = self._gone, self.groups.values()
        return Totals(
            gone.delivered + sum(group.delivered for group in groups),
            gone.redelivered + sum(group.redelivered for group in groups),
            gone.acknowledged + sum(group.acknowledged for group in groups),
            gone.dead + sum(group.dead for group in groups),
        )

    def begin(self) -> None:
        """Write what has been taken when this turn of the loop is over."""
        if self._open:
            self._turn.begin()

    def written(self, seq: int) -> asyncio.Future[None]:
        """A future that is done when a message has been written, and fails if it cannot be."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if seq <= self._committed:
            future.set_result(None)
        else:
            self._waiters.append((seq, future))
        return future

    async def synced(self) -> None:
        """Return when everything that has come up so far has been written.

        Raises:
            StoreError: if it cannot be.
        """
        if not (self._writing or self._pending or self._is_due()):
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._syncing.append(future)
        self.begin()
        await future

    def unbury(self, group: str, seq: int) -> None:
        """A dead letter is no longer one."""
        self._next.undead.append((group, seq))
        self.begin()

    async def drained(self) -> None:
        """Return when nothing is kept, but for dead letters.

        Raises:
            ClosedError: if the stream is closed first.
        """
        if self.empty:
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._drained.append(future)
        await future

    @property
    def last(self) -> int:
        """The number of the last message that was taken; 0 before the first."""
        return self._last

    @property
    def unwritten(self) -> int:
        """How many messages have not been written yet."""
        return self._unwritten + len(self._pending)

    @property
    def empty(self) -> bool:
        """Whether nothing is kept, but for dead letters."""
        return not (self.count or self._unwritten or self._pending)

    # --- life

    def open(self) -> None:
        """Begin, on the loop."""
        self._open = True
        for group in self.groups.values():
            if not (group.durable or group.present):  # of before the producer was started again
                self._linger(group)
        if self.limits.max_age_ms is not None:
            self._age_timer = self._later(min(1.0, self.limits.max_age_ms / 2000), self._look_at_age)
        self._turn.begin()

    def quiesce(self) -> None:
        """Hand out nothing more."""
        self._quiet = True

    async def finish(self, wait_s: float) -> None:
        """Wait for acknowledgements of what consumers have, and until all is written, or cannot be.

        Args:
            wait_s: how long to wait for acknowledgements, seconds.
        """
        until = self._now() + wait_s
        while self._now() < until and any(group.queue.in_flight for group in self.groups.values()):
            await self._next_write(until)
        while (self._writing or self._pending or self._is_due()) and self.error is None and not self._closed:
            await self._next_write(self._now() + _FINISH_S)

    async def _next_write(self, until: float) -> None:
        """Return when something has been written."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._finishing.append(future)
        self._turn.begin()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                await future

    def close(self, error: ColugoError) -> None:
        """Stop; whoever waits gets the error."""
        self._closed = True
        self._open = False
        self._tell(self._finishing)
        timers = (self._timer, self._retry_timer, self._flight_timer, self._age_timer)
        for timer in (*timers, *self._lingering.values()):
            if timer is not None:
                timer.cancel()
        for future in (*(one for _, one in self._waiters), *self._drained, *self._syncing):
            if not future.done():
                future.set_exception(error)

    # --- groups

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
        group = self.groups.get(name)
        if group is None:
            group = self.make_group(name, bindings, durable=durable)
        elif group.bind(bindings):
            self._change(group)
        if durable and not group.durable:
            group.durable = True
            self._change(group)
        group.queue.join(identity, prefetch)
        self._stir(group)
        return group

    def make_group(self, name: str, bindings: Iterable[str], *, durable: bool) -> StreamGroup:
        """A group that was not known; it gets all that is kept.

        One that is not durable gets only what is sent from now on, if others are known already: what they
        have had, nobody waits for.
        """
        record = GroupRecord(name, durable=durable, bindings=tuple(bindings), changed_ms=_now_ms())
        if not durable and self.groups and not self._any:
            done = RangeSet()
            if self._last:
                done.add(1, self._last)
            record.done = done.encode()
        group = self.groups[name] = StreamGroup(record, self.rules)
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
        group.bind(bindings)
        group.durable = True
        group.changed_ms = changed_ms
        self._dirty[group.name] = group
        self._stir(group)

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
        self._bury(group, dead)
        if not group.present and not group.durable and self.groups.get(group.name) is group:
            if lost:
                self._linger(group)
            else:
                self._end_group(group)
        self._stir(group)

    def _linger(self, group: StreamGroup) -> None:
        """Remember a group that is not durable for a while, as its members may come back."""
        self._lingering[group.name] = self._later(_LINGER_S, lambda: self._end_group(group))

    def _end_group(self, group: StreamGroup) -> None:
        self._lingering.pop(group.name, None)
        if not group.present and self.groups.get(group.name) is group:
            self._remove(group)
            self._next.gone.append(group.name)

    def forget(self, name: str, changed_ms: int | None = None) -> bool:
        """Forget a group: nothing is kept for it any more, until a consumer joins it again.

        Args:
            name: of the group.
            changed_ms: when that was decided, milliseconds since 1970; None for now.

        Returns:
            Whether it was known.
        """
        group = self.groups.get(name)
        before = self.forgotten.get(name) if group is None else group
        if changed_ms is None:
            changed_ms = _newer(0 if before is None else before.changed_ms)
        if group is not None:
            self._remove(group)
        record = self.forgotten[name] = _tombstone(name, changed_ms)
        self._next.groups[name] = record
        self.begin()
        self.on_news()
        return group is not None

    def _remove(self, group: StreamGroup) -> None:
        """Take a group out; what only it had waited for is done with."""
        self._gone = Totals(
            self._gone.delivered + group.delivered,
            self._gone.redelivered + group.redelivered,
            self._gone.acknowledged + group.acknowledged,
            self._gone.dead + group.dead,
        )
        del self.groups[group.name]
        self._dirty.pop(group.name, None)
        self._stirred.pop(group, None)
        self._next.settled += [(group.name, seq) for seq in group.written]
        if self.groups and self._last and not self._any:  # what others had no use for, somebody still may
            self._next.deletes += self._done_by_all([(1, self._last)])
        self.begin()

    def _change(self, group: StreamGroup) -> None:
        group.changed_ms = _newer(group.changed_ms)
        self._dirty[group.name] = group
        self.begin()
        if group.durable:
            self.on_news()

    # --- what consumers say

    def hear(self, group: StreamGroup, identity: bytes) -> None:
        """Something has come from a consumer; if it had been silent, it gets messages again."""
        if group.queue.hear(identity):
            self._stir(group)

    def acknowledge(self, group: StreamGroup, ranges: Ranges) -> None:
        """Messages have been handled."""
        done, unknown = group.queue.acknowledge(ranges)
        self.unknown += unknown
        if done:
            group.acknowledged += len(done)
            self._settle(group, done)
            self._finish(group, to_ranges(done), taken=True)
        self._stir(group)

    def nack(self, group: StreamGroup, identity: bytes, nack: Settlement) -> None:
        """A message could not be handled."""
        failure = nack.failure or _NO_REASON
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
            self._bury(group, [dead])
        self._stir(group)

    def give_back(self, group: StreamGroup, identity: bytes, seqs: list[int]) -> None:
        """Messages were returned that nobody has begun with."""
        self.unknown += group.queue.give_back(identity, seqs)
        self._stir(group)

    def working(self, group: StreamGroup, identity: bytes, seqs: list[int]) -> None:
        """Messages need more time."""
        self.unknown += group.queue.working(identity, seqs, self._now())

    def _bury(self, group: StreamGroup, dead: list[Dead]) -> None:
        if not dead:
            return
        letters = []
        for entry, reason, traceback in dead:
            seq = entry.message.seq
            if self._any and seq in group.done:  # somebody else has handled it
                continue
            letters.append(
                DeadLetter(entry.message, group.name, entry.attempt, reason, traceback, time.time_ns())
            )
            self._complaints.warn(
                group.name,
                f"message {seq} is a dead letter of the group {group.name!r} after {entry.attempt} tries",
                ColugoError(reason),
            )
        group.dead += len(letters)
        self._next.dead += letters
        seqs = [entry.message.seq for entry, _, _ in dead]
        self._settle(group, seqs)
        self._finish(group, to_ranges(seqs), taken=True)

    def _settle(self, group: StreamGroup, seqs: list[int]) -> None:
        """Their tries need not be remembered any more."""
        if group.written:
            over = group.written.intersection(seqs)
            if over:
                group.written -= over
                self._next.settled += [(group.name, seq) for seq in over]

    def _finish(self, group: StreamGroup, ranges: Ranges, *, taken: bool) -> None:
        """A group is done with messages, because it has had them (or they are not for it)."""
        new: Ranges = []
        for first, last in ranges:
            new += group.done.add(first, last)
        self._dirty[group.name] = group
        if taken:
            for first, last in new:
                self._taken.add(first, last)
            if self._any:
                self._finish_for_others(group, new)
        if taken or not self._any:
            gone = self._done_by_all(new)
            if not taken:
                self._count_unrouted(gone)
            self._next.deletes += gone

    def _finish_for_others(self, group: StreamGroup, ranges: Ranges) -> None:
        """One has had them, which is enough. Who is about to get them still does, once."""
        for other in self.groups.values():
            if other is group:
                continue
            for first, last in ranges:
                other.done.add(first, last)
            self._dirty[other.name] = other
            if not other.present:
                other.queue.release(seq for first, last in ranges for seq in range(first, last + 1))

    def _done_by_all(self, ranges: Ranges) -> Ranges:
        """The parts of ranges that every group is done with."""
        for group in self.groups.values():
            if not ranges:
                break
            ranges = [part for first, last in ranges for part in group.done.overlap(first, last)]
        return ranges

    def _count_unrouted(self, gone: Ranges) -> None:
        """Messages that no group had wanted."""
        unwanted = sum(
            end - begin + 1
            for first, last in gone
            if first <= self._committed
            for begin, end in self._taken.gaps(first, min(last, self._committed))
        )
        self.unrouted += unwanted

    # --- the work of a turn

    def _stir(self, group: StreamGroup) -> None:
        """Something of the group has changed: look what can be handed out."""
        self._stirred[group] = None
        self.begin()

    def _work(self) -> None:
        if self._closed:
            return
        self._write()
        stirred, self._stirred = self._stirred, {}
        for group in stirred:
            if self.groups.get(group.name) is group and group.present and not self._quiet:
                self._advance(group)
        self._write()
        self._set_timer()

    def _advance(self, group: StreamGroup) -> None:
        """Read on in the store if there is room, and hand out what can be."""
        if group.cursor < self._committed and not group.reading and group.has_room:
            self._read_on(group)
        again: list[tuple[Member, list[Entry]]] = []
        for member, entries in group.queue.assign(self._now()):
            first = [entry for entry in entries if not entry.redelivered]
            if len(first) < len(entries):
                again.append((member, [entry for entry in entries if entry.redelivered]))
            if first:
                group.delivered += len(first)
                self._hand_out(group, member, first)
        if again:
            self._hand_out_again(group, again)
        if self._flight_timer is None and group.queue.in_flight:
            self._flight_timer = self._later(_FLIGHT_S, self._write_flight)

    def _hand_out_again(self, group: StreamGroup, given: list[tuple[Member, list[Entry]]]) -> None:
        """Second tries are written before they are made, so that they are counted whatever happens."""
        for member, entries in given:
            for entry in entries:
                self._next.attempts.append((group.name, entry.message.seq, entry.attempt))
                group.written.add(entry.message.seq)
                group.unsent[entry] = member
        self._after.append(lambda: self._send_again(group, given))

    def _send_again(self, group: StreamGroup, given: list[tuple[Member, list[Entry]]]) -> None:
        """Hand out second tries that have been written, but for those that have been settled meanwhile."""
        for member, entries in given:
            mine = [entry for entry in entries if group.unsent.get(entry) is member]
            for entry in mine:
                del group.unsent[entry]
            still = [entry for entry in mine if entry.member is member and entry.state is State.IN_FLIGHT]
            if still and not self._quiet:
                group.queue.working(member.identity, [entry.message.seq for entry in still], self._now())
                group.delivered += len(still)
                group.redelivered += len(still)
                self._hand_out(group, member, still)

    def _read_on(self, group: StreamGroup) -> None:
        until = self._committed
        if group.cursor < self._tail.after:
            group.reading = True
            self._store.read(group.cursor, PAGE, _PAGE_BYTES, partial(self._read, group, until))
            return
        messages = self._tail.following(group.cursor, PAGE)
        if messages and messages[-1].seq <= group.marked:
            self._take(group, messages)
        else:
            self._read(group, until, messages)

    def _read(self, group: StreamGroup, until: int, result: list[Message] | StoreError) -> None:
        """What follows in the store has been read: write that it is offered, then offer it."""
        if self._closed or self.groups.get(group.name) is not group:
            return
        if isinstance(result, StoreError):
            text = f"cannot read on for the group {group.name!r}; trying again"
            self._complaints.warn(("read", group.name), text, result)
            self._later(_RETRY_S, lambda: self._read_again(group))
            return
        if not result:
            group.reading = False
            cursor, group.cursor = group.cursor, max(group.cursor, until)
            if group.cursor > cursor:
                self._finish(group, [(cursor + 1, group.cursor)], taken=False)
            self._stir(group)
            return
        group.reading = True
        group.offered = max(group.offered, result[-1].seq)
        self._dirty[group.name] = group

        def offer() -> None:
            group.reading = False
            if self.groups.get(group.name) is group:
                self._take(group, result)

        self._after.append(offer)
        self.begin()

    def _read_again(self, group: StreamGroup) -> None:
        group.reading = False
        self._stir(group)

    def _take(self, group: StreamGroup, messages: list[Message]) -> None:
        skipped, dead = group.take(messages)
        if skipped:
            self._finish(group, skipped, taken=False)
        self._bury(group, dead)
        self._stir(group)

    # --- writing

    def _is_due(self) -> bool:
        """Whether there is something to write, besides messages."""
        following = self._next
        return bool(
            self._dirty
            or self._after
            or self._syncing
            or following.deletes
            or following.gone
            or following.groups
            or following.attempts
            or following.settled
            or following.dead
            or following.undead
            or following.trim
        )

    def _write(self) -> None:
        if self._writing or self._closed or self._blocked:
            return
        takes = self._may_insert()
        if not takes and not self._is_due():
            return
        transaction, self._next = self._next, Transaction()
        inserts: list[Message] = []
        if takes:
            with self._lock:
                inserts, self._pending = self._pending, []
                self._unwritten, self._unwritten_bytes = len(inserts), self._pending_bytes
                self._pending_bytes = 0
            transaction.inserts = inserts
        if inserts:
            for group in self.groups.values():
                if group.present and group.cursor >= self._tail.after:
                    group.offered = inserts[-1].seq
                    self._dirty[group.name] = group
            if self.limits.full == "drop-oldest":
                transaction.trim = self._trim()
        for name, group in self._dirty.items():
            transaction.groups[name] = group.record()
        self._dirty = {}
        after, self._after = self._after, []
        syncing, self._syncing = self._syncing, []
        self._writing = True

        def done(outcome: Outcome | StoreError) -> None:
            self._writing = False
            self._tell(self._finishing)
            if isinstance(outcome, StoreError):
                self._tell(syncing, outcome)
                self._not_written(transaction, after, outcome)
            else:
                self._tell(syncing)
                self._wrote(transaction, after, outcome)

        self._store.commit(transaction, done)

    def _may_insert(self) -> bool:
        """Whether messages are to be written now; if that has failed, first what makes room for them."""
        if not self._pending:
            return False
        return self.error is None or (self._retry_timer is None and not self._is_due())

    def _trim(self) -> Trim:
        limits = self.limits
        oldest = None if limits.max_age_ms is None else time.time_ns() - limits.max_age_ms * 1_000_000
        if limits.full == "reject":
            return Trim(oldest_ns=oldest)
        return Trim(limits.max_messages, limits.max_bytes, oldest)

    def _wrote(
        self,
        transaction: Transaction,
        after: list[Callable[[], None]],
        outcome: Outcome,
    ) -> None:
        if self.error is not None and (transaction.inserts or not self._pending):
            self.error = None
            self._runtime.logger.warning("the stream's store can be written to again")
        with self._lock:
            self._unwritten = self._unwritten_bytes = 0
            self.count, self.size, self.dead = outcome.count, outcome.size, outcome.dead
        inserts = transaction.inserts
        if inserts:
            self._committed = inserts[-1].seq
            if any(group.present for group in self.groups.values()):
                self._tail.add(inserts)
            else:
                self._tail.clear(self._committed)
            self._tell_waiters()
        for name, record in transaction.groups.items():
            if name in self.groups:
                self.groups[name].marked = record.offered
        for gone in (outcome.trimmed, outcome.expired):
            if gone:
                self._released(gone)
        self.dropped += len(outcome.trimmed)
        self.expired += len(outcome.expired)
        if self._closed:
            return
        for action in after:
            action()
        for group in self.groups.values():
            if group.present and group.cursor < self._committed:
                self._stirred[group] = None
        if self._drained and self.empty and not self._is_due():
            self._tell(self._drained)
        self._turn.begin()

    def _tell_waiters(self) -> None:
        waiters = self._waiters
        while waiters and waiters[0][0] <= self._committed:
            future = waiters.popleft()[1]
            if not future.done():
                future.set_result(None)

    @staticmethod
    def _tell(waiting: list[asyncio.Future[None]], error: StoreError | None = None) -> None:
        while waiting:
            future = waiting.pop()
            if future.done():
                continue
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(StoreError(str(error)))

    def _released(self, seqs: list[int]) -> None:
        """The store has dropped messages."""
        ranges = to_ranges(seqs)
        for group in self.groups.values():
            group.queue.release(seqs)
            self._settle(group, seqs)
            for first, last in ranges:
                group.done.add(first, last)
            self._dirty[group.name] = group

    def _not_written(
        self, transaction: Transaction, after: list[Callable[[], None]], error: StoreError
    ) -> None:
        """Try again later; only whoever waits for a message of it gets the error, and sends it again."""
        last = transaction.inserts[-1].seq if transaction.inserts else 0
        waited = set()
        while self._waiters and self._waiters[0][0] <= last:
            seq, future = self._waiters.popleft()
            waited.add(seq)
            if not future.done():
                future.set_exception(StoreError(str(error)))
        with self._lock:
            # what was to be resurrected stays a dead letter, which whoever wanted it is told
            kept = [one for one in transaction.inserts if one.seq not in waited and not one.group]
            self._pending = kept + self._pending
            self._pending_bytes = sum(map(size_of, self._pending))
            self._unwritten = self._unwritten_bytes = 0
        following = self._next
        for name in transaction.groups:
            group = self.groups.get(name)
            if group is not None:
                self._dirty[name] = group
            elif name not in following.gone:
                following.groups.setdefault(name, transaction.groups[name])
        following.gone = transaction.gone + following.gone
        following.deletes = transaction.deletes + following.deletes
        following.attempts = transaction.attempts + following.attempts
        following.settled = transaction.settled + following.settled
        following.dead = transaction.dead + following.dead
        self._after = after + self._after
        self.error = error
        self._complaints.warn("write", "the stream's store fails", error)
        self._blocked = not transaction.inserts  # else what makes room may be written meanwhile
        if not self._closed:
            self._retry_timer = self._later(_RETRY_S, self._retry)

    def _retry(self) -> None:
        """Try again what could not be written; if nothing is left of it, whoever sends next tries."""
        self._retry_timer = None
        self._blocked = False
        if self.error is not None and not self._pending and not self._is_due():
            self.error = None
        self._work()

    # --- time

    def _set_timer(self) -> None:
        due = min(
            (due for group in self.groups.values() if (due := group.queue.next_due()) is not None),
            default=None,
        )
        if due is None:
            return
        if self._timer is not None:
            if self._timer.when() <= due:
                return
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_at(due, self._tick)

    def _tick(self) -> None:
        self._timer = None
        for group in list(self.groups.values()):
            group.extend_unsent(self._now())
            dead, silent = group.queue.expire(self._now())
            self._bury(group, dead)
            for member in silent:
                self._nudge(member)
            self._stirred[group] = None
        self._work()

    def _write_flight(self) -> None:
        """Let the store know which messages members have, so that they are redelivered after a crash."""
        self._flight_timer = None
        for group in self.groups.values():
            if group.update_flight():
                self._dirty[group.name] = group
        if any(group.queue.in_flight for group in self.groups.values()):
            self._flight_timer = self._later(_FLIGHT_S, self._write_flight)
        self._write()

    def _look_at_age(self) -> None:
        limit = self.limits.max_age_ms
        assert limit is not None
        if self.count:
            self._next.trim = self._trim()
            self._write()
        self._age_timer = self._later(min(1.0, limit / 2000), self._look_at_age)

    def _later(self, delay_s: float, action: Callable[[], None]) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(delay_s, action)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _newer(changed_ms: int) -> int:
    """A time that makes a word newer than another one, though that may be by a clock that is ahead."""
    return max(_now_ms(), changed_ms + 1)


def _tombstone(name: str, changed_ms: int) -> GroupRecord:
    return GroupRecord(name, bindings=("#",), forgotten=True, changed_ms=changed_ms)
