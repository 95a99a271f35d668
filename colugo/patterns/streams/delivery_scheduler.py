"""What a stream keeps, and how it gets to the consumers."""

import asyncio
from collections.abc import Callable
from functools import partial

from colugo.errors import ColugoError, StoreError
from colugo.net.runtime import Runtime
from colugo.net.transport.turn import Turn
from colugo.patterns.base import ThrottledWarnings
from colugo.patterns.streams.group import Ranges, StreamGroup
from colugo.patterns.streams.groups import AckPolicy, Groups
from colugo.patterns.streams.intake import StreamLimits
from colugo.patterns.streams.journal import Journal
from colugo.patterns.streams.tail import Tail
from colugo.protocol.streams.attempts import DeliveryRules, GroupMember, QueuedMessage
from colugo.protocol.streams.ranges import to_ranges
from colugo.protocol.streams.settlements import BY_RULES, Failure, Settlement
from colugo.protocol.streams.stream_message import StreamMessage
from colugo.protocol.streams.transitions import DeliveryState
from colugo.store import CommitOutcome, OpenedStore, Store, Transaction

PAGE = 1024
_PAGE_BYTES = 4 * 1024 * 1024
_RETRY_S = 1.0
_FLIGHT_S = 0.2
_FINISH_S = 5.0

_NO_REASON = Failure("nack")

HandOut = Callable[[StreamGroup, GroupMember, list[QueuedMessage]], None]


class DeliveryScheduler:
    """Lets messages be written, offers them to the groups, and hands them out.

    Messages are handed out when they have been written; a second try of one, when that has.

    Args:
        runtime: the node's.
        store: where messages are kept; open.
        opened: what was in it.
        ack: whose acknowledgement it takes.
        limits: how much is kept.
        rules: how often, and how fast, messages are handed out.
        hand_out: sends messages to a member.
        nudge: asks a member that has become silent to say something.

    Attributes:
        journal: what is written.
        intake: takes what is sent, until the journal writes it.
        groups: the consumer groups.
        unknown: acknowledgements of what the consumer's group did not have.
        dropped: messages that were dropped to make room.
        expired: messages that were dropped because of their age.
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
        hand_out: HandOut,
        nudge: Callable[[GroupMember], None],
    ) -> None:
        self._store = store
        self.rules = rules
        self._hand_out = hand_out
        self._nudge = nudge
        self._complaints = ThrottledWarnings(runtime)
        self.stream_id = opened.stream_id
        self._tail = Tail(opened.last_seq)
        self.journal = Journal(runtime, store, opened, limits=limits, author=self)
        self.intake = self.journal.intake
        self.groups = Groups(
            runtime, self.journal, opened, ack=ack, rules=rules, tail=self._tail, stir=self._stir
        )
        self.dropped = self.expired = self.unknown = 0
        self._stirred: dict[StreamGroup, None] = {}
        self._timed: dict[StreamGroup, None] = {}
        """Groups in which something may become due."""
        self._turn = Turn(self._work)
        self._timer: asyncio.TimerHandle | None = None
        self._flight_timer: asyncio.TimerHandle | None = None
        self._age_timer: asyncio.TimerHandle | None = None
        self._open = self._quiet = self._closed = False
        store.on_corrupt = self.groups.release

    # --- life

    def begin(self) -> None:
        """Write and hand out what there is when this turn of the loop is over."""
        if self._open:
            self._turn.begin()

    def open(self) -> None:
        """Begin, on the loop."""
        self._open = True
        self.groups.open()
        if self.intake.limits.max_age_ms is not None:
            self._age_timer = self._later(min(1.0, self.intake.limits.max_age_ms / 2000), self._look_at_age)
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
        while self._now() < until and any(group.queue.in_flight for group in self.groups.known.values()):
            await self.journal.next_write(until)
        last = self.intake.last
        while not self.journal.at_rest:
            await self.journal.next_write(self._now() + _FINISH_S)
            if self.journal.committed >= last:  # what other threads still send is written when it closes
                break

    def close(self, error: ColugoError) -> None:
        """Stop; whoever waits gets the error."""
        self._closed = True
        self._open = False
        for timer in (self._timer, self._flight_timer, self._age_timer):
            if timer is not None:
                timer.cancel()
        self.groups.close()
        self.journal.close(error)

    # --- what consumers say

    def hear(self, group: StreamGroup, identity: bytes) -> None:
        """Something has come from a consumer; if it had been silent, it gets messages again."""
        if group.queue.mark_alive(identity):
            self._stir(group)

    def acknowledge(self, group: StreamGroup, ranges: Ranges) -> None:
        """Messages have been handled."""
        done, unknown = group.queue.acknowledge(ranges)
        self.unknown += unknown
        if done:
            group.acknowledged += len(done)
            self.groups.settle(group, done)
            self.groups.finish(group, to_ranges(done))
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
            self.groups.bury(group, [dead])
        self._stir(group)

    def give_back(self, group: StreamGroup, identity: bytes, seqs: list[int]) -> None:
        """Messages were returned that nobody has begun with."""
        self.unknown += group.queue.requeue(identity, seqs)
        self._stir(group)

    def abandon(self, group: StreamGroup, identity: bytes, seqs: list[int], reason: str) -> None:
        """Messages were begun, and will not be ended."""
        unknown, dead = group.queue.abandon(identity, seqs, reason)
        self.unknown += unknown
        self.groups.bury(group, dead)
        self._stir(group)

    def working(self, group: StreamGroup, identity: bytes, seqs: list[int]) -> None:
        """Messages need more time."""
        self.unknown += group.queue.extend_deadlines(identity, seqs, self._now())

    # --- the journal's author

    def prepare(self, inserts: list[StreamMessage]) -> None:
        """See `Author.prepare`."""
        for group in self.groups.present:
            if group.cursor >= self._tail.after:
                group.offered = inserts[-1].seq
                self.journal.dirty[group.name] = group

    def written(self, transaction: Transaction, outcome: CommitOutcome) -> None:
        """See `Author.written`."""
        if transaction.inserts:
            cursors = [group.cursor for group in self.groups.present]
            if cursors:
                self._tail.drop(min(cursors))
                self._tail.add(transaction.inserts)
            else:
                self._tail.clear(self.journal.committed)
        for name, record in transaction.groups.items():
            if name in self.groups.known:  # perhaps another one than was recorded, which had been forgotten
                self.groups.known[name].marked = min(record.offered, self.groups.known[name].offered)
        for gone in (outcome.trimmed, outcome.expired):
            if gone:
                self.groups.release(gone)
        self.dropped += len(outcome.trimmed)
        self.expired += len(outcome.expired)
        for group in self.groups.present:
            if group.cursor < self.journal.committed:
                self._stirred[group] = None
        if not self._closed:
            self._serve()  # before who sent wakes, and sends more

    # --- the work of a turn

    def _stir(self, group: StreamGroup) -> None:
        """Something of the group has changed: look what can be handed out."""
        self._stirred[group] = None
        self.begin()

    def _work(self) -> None:
        if self._closed:
            return
        self.journal.write()
        self._serve()
        self.journal.write()
        self._set_timer()

    def _serve(self) -> None:
        """Hand out what can be, to the groups of which something has changed."""
        stirred, self._stirred = self._stirred, {}
        for group in stirred:
            if self.groups.has(group):
                self._timed[group] = None
                if group.present and not self._quiet:
                    self._advance(group)

    def _advance(self, group: StreamGroup) -> None:
        """Read on in the store if there is room, and hand out what can be."""
        if group.cursor < self.journal.committed and not group.reading and group.has_room:
            self._read_on(group)
        if group.strays:
            group.drop_strays()
        again: list[tuple[GroupMember, list[QueuedMessage]]] = []
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

    def _hand_out_again(
        self, group: StreamGroup, given: list[tuple[GroupMember, list[QueuedMessage]]]
    ) -> None:
        """Second tries are written before they are made, so that they are counted whatever happens."""
        for member, entries in given:
            for entry in entries:
                seq = entry.message.seq
                if seq not in group.done:  # else another group has handled it, and it is kept no more
                    self.journal.next.attempts.append((group.name, seq, entry.attempt))
                    group.written.add(seq)
                group.unsent[entry] = member
        self.journal.after.append(lambda: self._send_again(group, given))

    def _send_again(self, group: StreamGroup, given: list[tuple[GroupMember, list[QueuedMessage]]]) -> None:
        """Hand out second tries that have been written, but for those that have been settled meanwhile."""
        for member, entries in given:
            mine = [entry for entry in entries if group.unsent.get(entry) is member]
            for entry in mine:
                del group.unsent[entry]
            still = [
                entry for entry in mine if entry.member is member and entry.state is DeliveryState.IN_FLIGHT
            ]
            if still and not self._quiet:
                group.queue.extend_deadlines(
                    member.identity, [entry.message.seq for entry in still], self._now()
                )
                group.delivered += len(still)
                group.redelivered += len(still)
                self._hand_out(group, member, still)

    def _read_on(self, group: StreamGroup) -> None:
        until = self.journal.committed
        if group.cursor < self._tail.after:
            group.reading = True
            self._store.read(group.cursor, PAGE, _PAGE_BYTES, partial(self._read, group, group.epoch, until))
            return
        messages = self._tail.following(group.cursor, PAGE)
        if messages and messages[-1].seq <= group.marked:
            self._take(group, messages)
        else:
            self._read(group, group.epoch, until, messages)

    def _read(
        self, group: StreamGroup, epoch: int, until: int, result: list[StreamMessage] | StoreError
    ) -> None:
        """What follows in the store has been read: write that it is offered, then offer it."""
        if self._closed or not self.groups.has(group):
            return
        if isinstance(result, StoreError):
            text = f"cannot read on for the group {group.name!r}; trying again"
            self._complaints.warn(("read", group.name), text, result)
            self._later(_RETRY_S, lambda: self._read_again(group))
            return
        if epoch != group.epoch:
            self._read_again(group)
            return
        if not result:
            group.reading = False
            cursor, group.cursor = group.cursor, max(group.cursor, until)
            if group.cursor > cursor:
                self.groups.skip(group, [(cursor + 1, group.cursor)], [])
            self._stir(group)
            return
        group.reading = True
        group.offered = max(group.offered, result[-1].seq)
        self.journal.dirty[group.name] = group

        def offer() -> None:
            if epoch != group.epoch:
                self._read_again(group)
            elif self.groups.has(group):
                group.reading = False
                self._take(group, result)

        self.journal.after.append(offer)
        self.begin()

    def _read_again(self, group: StreamGroup) -> None:
        group.reading = False
        self._stir(group)

    def _take(self, group: StreamGroup, messages: list[StreamMessage]) -> None:
        skipped, unwanted, dead = group.take(messages)
        if skipped:
            self.groups.skip(group, skipped, unwanted)
        self.groups.bury(group, dead)
        self._stir(group)

    # --- time

    def _set_timer(self) -> None:
        due = None
        for group in list(self._timed):
            first = group.queue.next_due() if self.groups.has(group) else None
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
        self._timer = asyncio.get_running_loop().call_at(due, self._tick)

    def _tick(self) -> None:
        self._timer = None
        for group in filter(self.groups.has, list(self._timed)):
            group.extend_unsent(self._now())
            dead, silent = group.queue.expire(self._now())
            self.groups.bury(group, dead)
            for member in silent:
                self._nudge(member)
            self._stirred[group] = None
        self._work()

    def _write_flight(self) -> None:
        """Let the store know which messages members have, so that they are redelivered after a crash."""
        self._flight_timer = None
        for group in self.groups.known.values():
            if group.update_flight():
                self.journal.dirty[group.name] = group
        if any(group.queue.in_flight for group in self.groups.present):
            self._flight_timer = self._later(_FLIGHT_S, self._write_flight)
        self.journal.write()

    def _look_at_age(self) -> None:
        self.journal.trim_old()
        limit = self.intake.limits.max_age_ms
        assert limit is not None
        self._age_timer = self._later(min(1.0, limit / 2000), self._look_at_age)

    def _later(self, delay_s: float, action: Callable[[], None]) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(delay_s, action)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()
