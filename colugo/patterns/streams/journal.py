"""What a stream writes to its store: messages, and what has become of them, in transactions."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Protocol

from colugo.errors import ClosedError, ColugoError, StoreError, StreamFullError
from colugo.net.runtime import Runtime
from colugo.patterns.base import ThrottledWarnings
from colugo.patterns.streams.ack_batching import AckBatching
from colugo.patterns.streams.group import Ranges, StreamGroup
from colugo.patterns.streams.intake import Intake, StreamLimits
from colugo.patterns.streams.waiters import Waiters, tell
from colugo.protocol.streams.stream_message import StreamMessage
from colugo.store import CommitOutcome, OpenedStore, Store, Transaction, Trim

_RETRY_S = 1.0


class Author(Protocol):
    """Who has something to write."""

    def begin(self) -> None:
        """Let `write` be called when this turn of the loop is over."""

    def prepare(self, inserts: list[StreamMessage]) -> None:
        """Messages are about to be written: enter which groups may have them then."""

    def written(self, transaction: Transaction, outcome: CommitOutcome) -> None:
        """A transaction has been written."""


class Journal:
    """Writes messages with everything else that comes up, one transaction after another.

    Everything of one turn of the loop, or of the time while a transaction is written, goes into the next.

    Args:
        runtime: the node's.
        store: where to write; open.
        opened: what was in it.
        limits: how much is kept.
        author: who else has something to write.

    Attributes:
        intake: takes messages.
        next: what the next transaction does, besides messages and records of groups.
        dirty: groups whose records are to be written.
        after: what to do when the next transaction has been written.
    """

    def __init__(
        self, runtime: Runtime, store: Store, opened: OpenedStore, *, limits: StreamLimits, author: Author
    ) -> None:
        self._runtime = runtime
        self._store = store
        self._author = author
        self._complaints = ThrottledWarnings(runtime)
        self.intake = Intake(limits, opened)
        self.next = Transaction()
        self.dirty: dict[str, StreamGroup] = {}
        self.after: list[Callable[[], None]] = []
        self.committed = self.began_at = opened.last_seq
        """The numbers of the last message that was written, and of that in the beginning."""
        self._deleting: Ranges = []
        """What the transaction deletes that is being written."""
        self._waiters = Waiters()
        self._rest = AckBatching(self.begin)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._blocked = False
        self._relieved = False
        """Whether what makes room has been written since messages could not be."""
        self._drained: list[asyncio.Future[None]] = []
        self._finishing: list[asyncio.Future[None]] = []
        self._syncing: list[asyncio.Future[None]] = []
        self._retry_timer: asyncio.TimerHandle | None = None

    @property
    def deletes(self) -> Ranges:
        """Numbers of messages that are to be deleted, and may still be in the store."""
        return self._deleting + self.next.deletes

    @property
    def at_rest(self) -> bool:
        """Whether there is nothing to write, or it cannot be."""
        return (
            self.intake.closed
            or self.intake.error is not None
            or not (self.intake.writing or self.intake.pending or self._is_due())
        )

    async def room(self, size: int) -> None:
        """Return when a message is taken, or refused for another reason than that there is no room.

        Args:
            size: bytes of payload, headers and key.
        """
        while not self.intake.has_room(size):
            if self.intake.empty:
                reason = StreamFullError(f"purge or resurrect them: there are {self.intake.dead}")
                self._complaints.warn("room", "a send_wait waits, for dead letters have all the room", reason)
            await _wait_in(self._finishing)

    def written(self, seq: int) -> asyncio.Future[None]:
        """A future that is done when a message has been written, and fails if it cannot be."""
        return self._waiters.add(seq, written=seq <= self.committed)

    async def synced(self) -> None:
        """Return when everything that has come up so far has been written.

        Raises:
            StoreError: if it cannot be.
            ClosedError: if the stream has been closed.
        """
        if self.intake.closed:
            raise ClosedError("the stream is closed")
        if not (self.intake.writing or self.intake.pending or self._is_due()):
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._syncing.append(future)
        self.begin()
        await future

    def unbury(self, group: str, seq: int) -> None:
        """A dead letter is no longer one."""
        self.next.undead.append((group, seq))
        self.begin()

    async def drained(self) -> None:
        """Return when nothing is kept, but for dead letters.

        Raises:
            ClosedError: if the stream is closed first.
        """
        if self.intake.empty:
            return
        self.begin()
        await _wait_in(self._drained)

    def begin(self) -> None:
        """Something has come up: write when this turn of the loop is over."""
        self._author.begin()

    async def next_write(self, until: float) -> None:
        """Return when something has been written.

        Args:
            until: the time of the loop when to return at the latest.
        """
        self.begin()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                await _wait_in(self._finishing)

    def close(self, error: ColugoError) -> None:
        """Write what there is, and take nothing more; whoever waits gets the error."""
        self.intake.close()
        if not self.intake.writing:
            self._write_last()
        tell(self._finishing)
        self._rest.close()
        if self._retry_timer is not None:
            self._retry_timer.cancel()
        self._waiters.close(error)
        tell(self._drained, error)
        tell(self._syncing, error)

    def trim_old(self) -> None:
        """Let what is too old go with the next transaction."""
        if self.intake.count:
            self.next.trim = self._trim()
            self.write()

    def _is_due(self) -> bool:
        """Whether there is something to write, besides messages."""
        return bool(self.dirty or self.next.deletes or self.next.settled) or self._is_more_due()

    def _is_more_due(self) -> bool:
        """Whether that is more than what groups are done with."""
        following = self.next
        return bool(
            self.after
            or self._syncing
            or following.gone
            or following.groups
            or following.attempts
            or following.dead
            or following.undead
            or following.trim
        )

    def _rests(self) -> bool:
        """Whether acknowledgements, which is all there is, leave the store to messages for a moment."""
        if self._is_more_due() or self._finishing or self.intake.short:
            return False
        if self._drained and _length(self.next.deletes) >= self.intake.count:
            return False
        return self._rest.lasts()

    def write(self) -> None:
        """Write what there is, if nothing is being written."""
        if self.intake.writing or self.intake.closed or self._blocked:
            return
        takes = self._may_insert()
        if not takes and (not self._is_due() or self._rests()):
            return
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        self._commit(takes=takes)

    def _write_last(self) -> None:
        """Write what has come up before the end, which the store does when it is closed."""
        if self.intake.error is None and (self.intake.pending or self._is_due()):
            self._commit(takes=bool(self.intake.pending))

    def _commit(self, *, takes: bool) -> None:
        """Give the store a transaction; with the messages, if it takes them."""
        self.intake.short = False
        began = self._now()
        transaction, self.next = self.next, Transaction()
        if takes:
            self._take_pending(transaction)
        recorded, self.dirty = self.dirty, {}
        for name, group in recorded.items():
            transaction.groups[name] = group.record()
        after, self.after = self.after, []
        syncing, self._syncing = self._syncing, []
        self.intake.writing = True
        self._deleting = transaction.deletes

        def done(outcome: CommitOutcome | StoreError) -> None:
            self.intake.writing = False
            self._deleting = []
            now = self._now()
            self._rest.begin(now, now - began)
            tell(self._finishing)
            if isinstance(outcome, StoreError):
                tell(syncing, outcome)
                self._not_written(transaction, recorded, after, outcome)
            else:
                tell(syncing)
                self._wrote(transaction, after, outcome)

        self._store.commit(transaction, done)

    def _now(self) -> float:
        """The time of the loop; one that is never run has none."""
        return 0.0 if self._loop is None else self._loop.time()

    def _may_insert(self) -> bool:
        """Whether messages are to be written now; if that has failed, first what makes room for them."""
        if not self.intake.pending:
            return False
        return self.intake.error is None or (
            self._retry_timer is None and (self._relieved or not self._is_due())
        )

    def _take_pending(self, transaction: Transaction) -> None:
        transaction.inserts, replaced = self.intake.take()
        transaction.undead += replaced
        self._author.prepare(transaction.inserts)
        if self.intake.limits.full == "drop-oldest":
            transaction.trim = self._trim()

    def _trim(self) -> Trim:
        limits = self.intake.limits
        oldest = None if limits.max_age_ms is None else time.time_ns() - limits.max_age_ms * 1_000_000
        if limits.full != "drop-oldest":
            return Trim(oldest_ns=oldest)
        return Trim(limits.max_messages, limits.max_bytes, oldest)

    def _wrote(
        self, transaction: Transaction, after: list[Callable[[], None]], outcome: CommitOutcome
    ) -> None:
        if self.intake.error is not None and (transaction.inserts or not self.intake.pending):
            self.intake.error = None
            self._runtime.logger.warning("the stream's store can be written to again")
        self._relieved = not transaction.inserts
        self.intake.written(outcome)
        if transaction.inserts:
            self.committed = transaction.inserts[-1].seq
        self._author.written(transaction, outcome)
        self._waiters.succeed(self.committed)
        if self.intake.closed:
            self._write_last()
            return
        for action in after:
            action()
        self._look_drained()
        self.begin()

    def _look_drained(self) -> None:
        if self._drained and self.intake.empty and not self._is_due():
            tell(self._drained)

    def _not_written(
        self,
        transaction: Transaction,
        recorded: dict[str, StreamGroup],
        after: list[Callable[[], None]],
        error: StoreError,
    ) -> None:
        """Try again later; only whoever waits for a message of it gets the error, and sends it again."""
        last = transaction.inserts[-1].seq if transaction.inserts else 0
        waited = self._waiters.fail(last, error)
        # what was to be resurrected stays a dead letter, which whoever wanted it is told
        self.intake.put_back([one for one in transaction.inserts if one.seq not in waited and not one.group])
        following = self.next
        for name, record in transaction.groups.items():
            if name in following.gone or name in following.groups:
                continue
            if name in recorded:
                self.dirty.setdefault(name, recorded[name])
            elif name not in self.dirty:
                following.groups[name] = record
        following.gone = transaction.gone + following.gone
        following.deletes = transaction.deletes + following.deletes
        following.attempts = transaction.attempts + following.attempts
        following.settled = transaction.settled + following.settled
        following.dead = transaction.dead + following.dead
        self.after = after + self.after
        self._relieved = False
        self.intake.error = error
        self._complaints.warn("write", "the stream's store fails", error)
        self._blocked = not transaction.inserts  # else what makes room may be written meanwhile
        if not self.intake.closed:
            self._retry_timer = asyncio.get_running_loop().call_later(_RETRY_S, self._retry)

    def _retry(self) -> None:
        """Try again what could not be written; if nothing is left of it, whoever sends next tries."""
        self._retry_timer = None
        self._blocked = False
        if self.intake.error is not None and not self.intake.pending and not self._is_due():
            self.intake.error = None
            self._look_drained()
        self.begin()


async def _wait_in(waiting: list[asyncio.Future[None]]) -> None:
    """Return when those are told who wait in a list, or raise what they are told."""
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    waiting.append(future)
    try:
        await future
    finally:
        if future in waiting:  # given up: nobody may be told for long
            waiting.remove(future)


def _length(ranges: list[tuple[int, int]]) -> int:
    """How many numbers are in ranges."""
    return sum(last - first + 1 for first, last in ranges)
