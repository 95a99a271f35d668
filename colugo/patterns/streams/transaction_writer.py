"""The transactions that a stream writes to its store: messages, and the progress of the groups."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable
from typing import Protocol

from colugo.errors import ClosedError, ColugoError, StoreError, StreamFullError
from colugo.net.runtime import Runtime
from colugo.patterns.base import ThrottledWarnings
from colugo.patterns.streams.group import Ranges, StreamGroup
from colugo.patterns.streams.intake import Intake, StreamLimits
from colugo.patterns.streams.waiters import Waiters, Waiting, resolve, wait_in
from colugo.protocol.streams.stream_message import StreamMessage
from colugo.store import CommitOutcome, GroupRecord, OpenedStore, Store, StoredDeadLetter, Transaction

_RETRY_S = 1.0
_ACK_PAUSE_FACTOR = 2
"""The pause, in durations of a transaction, in which acknowledgements alone are not written after it: it
leaves the store to the next messages, and lets one transaction write many acknowledgements."""
_LONGEST_ACK_PAUSE_S = 0.01


class TransactionListener(Protocol):
    """The owner of a writer."""

    def wake(self) -> None:
        """Call `TransactionWriter.write` at the end of this turn of the loop."""

    def on_inserting(self, messages: list[StreamMessage]) -> None:
        """Mark the groups that may receive these messages once the transaction is committed."""

    def on_committed(self, transaction: Transaction, outcome: CommitOutcome) -> None:
        """Deliver messages that have been written."""


class TransactionWriter:
    """Collects changes, and writes them to the store, one transaction after another.

    All changes of one turn of the loop, or of the duration of a transaction, share the next transaction.

    Attributes:
        request_write: writes at the end of this turn of the loop.
        committed: the number of the last message written.
        began_at: the number of the last message in the store when it was opened.
    """

    def __init__(
        self,
        runtime: Runtime,
        store: Store,
        opened: OpenedStore,
        *,
        limits: StreamLimits,
        listener: TransactionListener,
    ) -> None:
        self._runtime = runtime
        self._store = store
        self._listener = listener
        self.request_write = listener.wake
        self._warnings = ThrottledWarnings(runtime)
        self.intake = Intake(limits, opened)
        self.committed = self.began_at = opened.last_seq
        self._next = Transaction()
        self._dirty: dict[str, StreamGroup] = {}
        """Groups whose records the next transaction writes."""
        self._after_commit: list[Callable[[], None]] = []
        self._deleting: Ranges = []
        """The deletions of the transaction that is being written."""
        self._ack_pause_until = 0.0
        self._ack_timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._blocked = False
        self._room_made = False
        """True if a transaction without messages has succeeded since one with messages failed."""
        self._retry_timer: asyncio.TimerHandle | None = None
        self._insert_waiters = Waiters()
        self._commit_waiters: Waiting = []
        self._sync_waiters: Waiting = []
        self._drain_waiters: Waiting = []

    def mark_dirty(self, group: StreamGroup) -> None:
        """Write the record of a group with the next transaction."""
        self._dirty[group.name] = group

    def after_commit(self, action: Callable[[], None]) -> None:
        """Call something when the next transaction has been committed."""
        self._after_commit.append(action)

    def record_attempts(self, attempts: list[tuple[str, int, int]]) -> None:
        """Store attempts: group, sequence number, and number of attempts."""
        self._next.attempts += attempts

    def delete_attempts(self, group: StreamGroup, seqs: Iterable[int]) -> None:
        """Delete stored attempts of a group."""
        self._next.settled += [(group.name, seq) for seq in seqs]

    def delete(self, ranges: Ranges) -> None:
        """Delete messages."""
        self._next.deletes += ranges

    def add_dead_letters(self, letters: list[StoredDeadLetter]) -> None:
        """Store dead letters."""
        self._next.dead += letters

    def remove_dead_letter(self, group: str, seq: int) -> None:
        """Delete a dead letter."""
        self._next.undead.append((group, seq))
        self.request_write()

    def delete_group(self, name: str) -> None:
        """Delete the record of a group."""
        self._dirty.pop(name, None)
        self._next.gone.append(name)

    def retire_group(self, tombstone: GroupRecord) -> None:
        """Store a record that says that a group was retired, instead of the group's own."""
        self._dirty.pop(tombstone.name, None)
        self._next.groups[tombstone.name] = tombstone
        self.request_write()

    def trim_old(self) -> None:
        """Delete messages that are older than `max_age_ms`."""
        if self.intake.count:
            self._next.trim = self.intake.limits.trim(time.time_ns())
            self.write()

    @property
    def deletes(self) -> Ranges:
        """Numbers of messages that are to be deleted, and may still be in the store."""
        return self._deleting + self._next.deletes

    @property
    def idle(self) -> bool:
        """True if everything has been written, or cannot be."""
        return self.intake.closed or self.intake.error is not None or not self._has_work()

    async def wait_for_room(self, size: int) -> None:
        """Wait until a message of that many bytes is accepted, or rejected for another reason than limits."""
        while not self.intake.has_room(size):
            if self.intake.empty:
                reason = StreamFullError(f"purge or resurrect them ({self.intake.dead})")
                self._warnings.warn("room", "send_wait waits, as dead letters fill the stream", reason)
            await wait_in(self._commit_waiters)

    def written(self, seq: int) -> asyncio.Future[None]:
        """Return a future that resolves when a message has been written, and fails if it cannot be."""
        return self._insert_waiters.add(seq, written=seq <= self.committed)

    async def synced(self) -> None:
        """Wait until all changes so far have been written; raise a StoreError if that fails."""
        if self.intake.closed:
            raise ClosedError("the stream is closed")
        if not self._has_work():
            return
        self.request_write()
        self._sync_waiters.append(future := asyncio.get_running_loop().create_future())
        await future

    async def drained(self) -> None:
        """Wait until the stream keeps nothing but dead letters."""
        if self.intake.empty:
            return
        self.request_write()
        await wait_in(self._drain_waiters)

    async def next_write(self, until: float) -> None:
        """Wait for the end of a transaction, or until that time of the loop."""
        self.request_write()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                await wait_in(self._commit_waiters)

    def close(self, error: ColugoError) -> None:
        """Write all changes, accept no more, and fail all waiters with the error."""
        self.intake.close()
        if not self.intake.writing:
            self._write_last()
        resolve(self._commit_waiters)
        for timer in (self._ack_timer, self._retry_timer):
            if timer is not None:
                timer.cancel()
        self._insert_waiters.close(error)
        resolve(self._drain_waiters, error)
        resolve(self._sync_waiters, error)

    def write(self) -> None:
        """Begin a transaction, unless one is being written or there is nothing to write."""
        if self.intake.writing or self.intake.closed or self._blocked:
            return
        inserts = self._may_insert()
        if not inserts and (not self._has_changes() or self._should_batch()):
            return
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        self._commit(inserts=inserts)

    def _write_last(self) -> None:
        """Hand all changes to the store, which writes them when it is closed."""
        if self.intake.error is None and (self.intake.pending or self._has_changes()):
            self._commit(inserts=self.intake.pending)

    def _has_work(self) -> bool:
        return self.intake.writing or self.intake.pending or self._has_changes()

    def _has_changes(self) -> bool:
        return bool(self._dirty or self._next.deletes or self._next.settled) or self._has_urgent_changes()

    def _has_urgent_changes(self) -> bool:
        """Return True if there are other changes than acknowledgements."""
        following = self._next
        return bool(
            self._after_commit
            or self._sync_waiters
            or (following.gone or following.groups or following.attempts)
            or (following.dead or following.undead or following.trim)
        )

    def _should_batch(self) -> bool:
        """Return True if acknowledgements, the only changes, are to wait for more."""
        if self._has_urgent_changes() or self._commit_waiters or self.intake.short:
            return False
        if self._drain_waiters and _length(self._next.deletes) >= self.intake.count:
            return False
        loop = asyncio.get_running_loop()
        if self._ack_pause_until <= loop.time():
            return False
        if self._ack_timer is None:
            self._ack_timer = loop.call_at(self._ack_pause_until, self._end_ack_pause)
        return True

    def _end_ack_pause(self) -> None:
        self._ack_timer = None
        self.request_write()

    def _may_insert(self) -> bool:
        """Return True if messages are to be written; after a failure, first come changes that make room."""
        if not self.intake.pending:
            return False
        return self.intake.error is None or (
            self._retry_timer is None and (self._room_made or not self._has_changes())
        )

    def _commit(self, *, inserts: bool) -> None:
        """Give the store a transaction, with or without the pending messages."""
        began = self._now()
        transaction, self._next = self._next, Transaction()
        transaction.inserts, replaced = self.intake.begin(inserts=inserts)
        if inserts:
            transaction.undead += replaced
            self._listener.on_inserting(transaction.inserts)
            if self.intake.limits.full == "drop-oldest":
                transaction.trim = self.intake.limits.trim(time.time_ns())
        dirty, self._dirty = self._dirty, {}
        for name, group in dirty.items():
            transaction.groups[name] = group.record()
        actions, self._after_commit = self._after_commit, []
        syncs, self._sync_waiters = self._sync_waiters, []
        self._deleting = transaction.deletes

        def done(outcome: CommitOutcome | StoreError) -> None:
            self._deleting = []
            now = self._now()
            self._ack_pause_until = now + min(_ACK_PAUSE_FACTOR * (now - began), _LONGEST_ACK_PAUSE_S)
            resolve(self._commit_waiters)
            if isinstance(outcome, StoreError):
                resolve(syncs, outcome)
                self._on_failed(transaction, dirty, actions, outcome)
            else:
                resolve(syncs)
                self._on_committed(transaction, actions, outcome)

        self._store.commit(transaction, done)

    def _on_committed(
        self, transaction: Transaction, actions: list[Callable[[], None]], outcome: CommitOutcome
    ) -> None:
        if self.intake.error is not None and (transaction.inserts or not self.intake.pending):
            self.intake.clear_error()
            self._runtime.logger.warning("the stream's store can be written to again")
        self._room_made = not transaction.inserts
        self.intake.on_committed(outcome)
        if transaction.inserts:
            self.committed = transaction.inserts[-1].seq
        self._listener.on_committed(transaction, outcome)
        self._insert_waiters.succeed(self.committed)
        if self.intake.closed:
            self._write_last()
            return
        for action in actions:
            action()
        self._check_drained()
        self.request_write()

    def _check_drained(self) -> None:
        if self._drain_waiters and self.intake.empty and not self._has_changes():
            resolve(self._drain_waiters)

    def _on_failed(
        self,
        transaction: Transaction,
        dirty: dict[str, StreamGroup],
        actions: list[Callable[[], None]],
        error: StoreError,
    ) -> None:
        """Retry later, without the messages whose senders wait: they get the error, and may send again."""
        last = transaction.inserts[-1].seq if transaction.inserts else 0
        waited = self._insert_waiters.fail(last, error)
        # one that was to replace a dead letter is dropped: the letter stays, and the caller gets the error
        back = [one for one in transaction.inserts if one.seq not in waited and not one.group]
        self.intake.on_failed(back, error)
        self._restore(transaction, dirty)
        self._after_commit = actions + self._after_commit
        self._room_made = False
        self._warnings.warn("write", "cannot write to the stream's store; trying again", error)
        self._blocked = not transaction.inserts  # else changes that make room may be written meanwhile
        if not self.intake.closed:
            self._retry_timer = asyncio.get_running_loop().call_later(_RETRY_S, self._retry)

    def _restore(self, transaction: Transaction, dirty: dict[str, StreamGroup]) -> None:
        following = self._next
        for name, record in transaction.groups.items():
            if name in following.gone or name in following.groups:
                continue
            if name in dirty:
                self._dirty.setdefault(name, dirty[name])
            elif name not in self._dirty:
                following.groups[name] = record
        following.gone = transaction.gone + following.gone
        following.deletes = transaction.deletes + following.deletes
        following.attempts = transaction.attempts + following.attempts
        following.settled = transaction.settled + following.settled
        following.dead = transaction.dead + following.dead

    def _retry(self) -> None:
        """Retry after a failure; if nothing is left to write, the next message is the test of the store."""
        self._retry_timer = None
        self._blocked = False
        if self.intake.error is not None and not self.intake.pending and not self._has_changes():
            self.intake.clear_error()
            self._check_drained()
        self.request_write()

    def _now(self) -> float:
        return 0.0 if self._loop is None else self._loop.time()


def _length(ranges: Ranges) -> int:
    return sum(last - first + 1 for first, last in ranges)
