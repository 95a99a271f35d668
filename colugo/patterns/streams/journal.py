"""What a stream writes to its store: messages, and what has become of them, in transactions."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from colugo.errors import ClosedError, ColugoError, StoreError, StreamFullError
from colugo.net.runtime import Runtime
from colugo.net.store import Opened, Outcome, Store, Transaction, Trim, size_of_all
from colugo.patterns.base import Complaints
from colugo.patterns.streams.group import Ranges, StreamGroup
from colugo.patterns.streams.rest import Rest
from colugo.patterns.streams.waiters import Waiters, tell
from colugo.protocol.messages import Message

_PENDING_BYTES = 64 * 1024 * 1024
_PENDING = 250_000
"""How much, and how many messages, may wait while others are written; a thread may send faster."""
_RETRY_S = 1.0
_new = tuple.__new__

FullPolicy = Literal["reject", "wait", "drop-oldest"]


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


class Author(Protocol):
    """Who has something to write."""

    def begin(self) -> None:
        """Let `write` be called when this turn of the loop is over."""

    def prepare(self, inserts: list[Message]) -> None:
        """Messages are about to be written: enter which groups may have them then."""

    def written(self, transaction: Transaction, outcome: Outcome) -> None:
        """A transaction has been written."""


class Journal:
    """Takes messages, and writes them with everything else that comes up, one transaction after another.

    Everything of one turn of the loop, or of the time while a transaction is written, goes into the next.

    Args:
        runtime: the node's.
        store: where to write; open.
        opened: what was in it.
        limits: how much is kept.
        author: who else has something to write.

    Attributes:
        next: what the next transaction does, besides messages and records of groups.
        dirty: groups whose records are to be written.
        after: what to do when the next transaction has been written.
    """

    def __init__(
        self, runtime: Runtime, store: Store, opened: Opened, *, limits: Limits, author: Author
    ) -> None:
        self._runtime = runtime
        self._store = store
        self._author = author
        self._complaints = Complaints(runtime)
        self.limits = limits
        self.count, self.size, self.dead = opened.count, opened.size, opened.dead
        self.sent = self.rejected = 0
        self.error: StoreError | None = None
        """Why nothing can be written now."""
        self.next = Transaction()
        self.dirty: dict[str, StreamGroup] = {}
        self.after: list[Callable[[], None]] = []
        self.last = self.committed = self.began_at = opened.last_seq
        """The numbers of the last message that was taken, of the last that was written, and of that in the
        beginning."""
        self._lock = threading.Lock()
        self._pending: list[Message] = []
        self._pending_bytes = 0
        self._replaced: dict[int, tuple[str, int]] = {}
        """Dead letters whose place is taken by messages that are not written yet, by their numbers."""
        self._unwritten = 0
        self._unwritten_bytes = 0
        self._deleting: Ranges = []
        """What the transaction deletes that is being written."""
        self._waiters = Waiters()
        self._rest = Rest(self.begin)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._short = False
        """Whether a message was refused since the last transaction began: what makes room is wanted."""
        self._held = self._held_bytes = 0
        """How much counts towards the limits."""
        self._count_held()
        self._writing = self._blocked = self._closed = False
        self._relieved = False
        """Whether what makes room has been written since messages could not be."""
        self._drained: list[asyncio.Future[None]] = []
        self._finishing: list[asyncio.Future[None]] = []
        self._syncing: list[asyncio.Future[None]] = []
        self._retry_timer: asyncio.TimerHandle | None = None

    @property
    def unwritten(self) -> int:
        """How many messages have not been written yet."""
        return self._unwritten + len(self._pending)

    @property
    def deletes(self) -> Ranges:
        """Numbers of messages that are to be deleted, and may still be in the store."""
        return self._deleting + self.next.deletes

    @property
    def empty(self) -> bool:
        """Whether nothing is kept, but for dead letters."""
        return not (self.count or self.unwritten)

    @property
    def at_rest(self) -> bool:
        """Whether there is nothing to write, or it cannot be."""
        return (
            self._closed or self.error is not None or not (self._writing or self._pending or self._is_due())
        )

    def add(
        self,
        key: str,
        headers: bytes,
        payload: bytes,
        flags: int,
        *,
        replaces: tuple[str, int] | None = None,
    ) -> int:
        """Take a message; from any thread.

        Args:
            key: its key.
            headers: packed.
            payload: encoded.
            flags: FLAG_TEXT.
            replaces: group and number of the dead letter that it has been: only that group gets it, it is
                taken though the stream is full, and the letter goes in the transaction that writes it.

        Returns:
            Its number.

        Raises:
            StreamFullError: if there is no room.
            StoreError: if the store cannot be written to now.
            ClosedError: after it has been closed.
        """
        size = len(payload) + len(headers) + (len(key.encode()) if key else 0)
        sent_ns = time.time_ns()
        limits = self.limits
        with self._lock:
            if self._closed:
                raise ClosedError("the stream is closed")
            if self.error is not None:
                raise StoreError(f"not stored: {self.error}") from self.error
            if self._writing and self._has_too_much():
                self.rejected += 1
                raise StreamFullError(
                    f"{len(self._pending)} messages ({self._pending_bytes} bytes) wait to be written to the "
                    "store; send_wait returns when a message has been"
                )
            if (
                (self._held >= limits.max_messages or self._held_bytes + size > limits.max_bytes)
                and limits.full != "drop-oldest"
                and replaces is None
            ):
                raise self._rejection()
            self.last = seq = self.last + 1
            group = ""
            if replaces is not None:
                self._replaced[seq] = replaces
                group = replaces[0]
            # a named tuple's own way takes twice as long
            self._pending.append(_new(Message, (seq, key, headers, payload, flags, sent_ns, group)))
            self._pending_bytes += size
            self._held += 1
            self._held_bytes += size
            self.sent += 1
        return seq

    async def room(self, size: int) -> None:
        """Return when `add` has room, or raises something else than that there is none.

        Args:
            size: bytes of payload, headers and key.
        """
        while not (self._closed or self.error is not None or self._has_room(size)):
            if self.empty:
                reason = StreamFullError(f"purge or resurrect them: there are {self.dead}")
                self._complaints.warn("room", "a send_wait waits, for dead letters have all the room", reason)
            await _wait_in(self._finishing)

    def _has_room(self, size: int) -> bool:
        limits = self.limits
        with self._lock:
            if size > limits.max_bytes:  # it will never have
                return True
            if self._writing and self._has_too_much():
                return False
            return self._held < limits.max_messages and self._held_bytes + size <= limits.max_bytes

    def _has_too_much(self) -> bool:
        """Whether so much waits to be written that nothing more is taken before the next transaction."""
        return self._pending_bytes > _PENDING_BYTES or len(self._pending) > _PENDING

    def _rejection(self) -> StreamFullError:
        limits = self.limits
        self.rejected += 1
        self._short = True
        dead = f", {self.dead} of them dead letters" if self.dead else ""
        return StreamFullError(
            f"the stream holds {self._held} messages{dead} ({self._held_bytes} bytes): "
            f"max_messages is {limits.max_messages}, max_bytes {limits.max_bytes}"
        )

    def _count_held(self) -> None:
        self._held = self.count + self.dead + self._unwritten + len(self._pending)
        self._held_bytes = self.size + self._unwritten_bytes + self._pending_bytes

    def written(self, seq: int) -> asyncio.Future[None]:
        """A future that is done when a message has been written, and fails if it cannot be."""
        return self._waiters.add(seq, written=seq <= self.committed)

    async def synced(self) -> None:
        """Return when everything that has come up so far has been written.

        Raises:
            StoreError: if it cannot be.
            ClosedError: if the stream has been closed.
        """
        if self._closed:
            raise ClosedError("the stream is closed")
        if not (self._writing or self._pending or self._is_due()):
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
        if self.empty:
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
        with self._lock:
            self._closed = True
        if not self._writing:
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
        if self.count:
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
        if self._is_more_due() or self._finishing or self._short:
            return False
        if self._drained and _length(self.next.deletes) >= self.count:
            return False
        return self._rest.lasts()

    def write(self) -> None:
        """Write what there is, if nothing is being written."""
        if self._writing or self._closed or self._blocked:
            return
        takes = self._may_insert()
        if not takes and (not self._is_due() or self._rests()):
            return
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        self._commit(takes=takes)

    def _write_last(self) -> None:
        """Write what has come up before the end, which the store does when it is closed."""
        if self.error is None and (self._pending or self._is_due()):
            self._commit(takes=bool(self._pending))

    def _commit(self, *, takes: bool) -> None:
        """Give the store a transaction; with the messages, if it takes them."""
        self._short = False
        began = self._now()
        transaction, self.next = self.next, Transaction()
        if takes:
            self._take_pending(transaction)
        recorded, self.dirty = self.dirty, {}
        for name, group in recorded.items():
            transaction.groups[name] = group.record()
        after, self.after = self.after, []
        syncing, self._syncing = self._syncing, []
        self._writing = True
        self._deleting = transaction.deletes

        def done(outcome: Outcome | StoreError) -> None:
            self._writing = False
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
        if not self._pending:
            return False
        return self.error is None or (self._retry_timer is None and (self._relieved or not self._is_due()))

    def _take_pending(self, transaction: Transaction) -> None:
        with self._lock:
            transaction.inserts, self._pending = self._pending, []
            self._unwritten, self._unwritten_bytes = len(transaction.inserts), self._pending_bytes
            self._pending_bytes = 0
            replaced, self._replaced = self._replaced, {}
        transaction.undead += replaced.values()
        self._author.prepare(transaction.inserts)
        if self.limits.full == "drop-oldest":
            transaction.trim = self._trim()

    def _trim(self) -> Trim:
        limits = self.limits
        oldest = None if limits.max_age_ms is None else time.time_ns() - limits.max_age_ms * 1_000_000
        if limits.full != "drop-oldest":
            return Trim(oldest_ns=oldest)
        return Trim(limits.max_messages, limits.max_bytes, oldest)

    def _wrote(self, transaction: Transaction, after: list[Callable[[], None]], outcome: Outcome) -> None:
        if self.error is not None and (transaction.inserts or not self._pending):
            self.error = None
            self._runtime.logger.warning("the stream's store can be written to again")
        self._relieved = not transaction.inserts
        with self._lock:
            self._unwritten = self._unwritten_bytes = 0
            self.count, self.size, self.dead = outcome.count, outcome.size, outcome.dead
            self._count_held()
        if transaction.inserts:
            self.committed = transaction.inserts[-1].seq
        self._author.written(transaction, outcome)
        self._waiters.succeed(self.committed)
        if self._closed:
            self._write_last()
            return
        for action in after:
            action()
        self._look_drained()
        self.begin()

    def _look_drained(self) -> None:
        if self._drained and self.empty and not self._is_due():
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
        with self._lock:
            # what was to be resurrected stays a dead letter, which whoever wanted it is told
            kept = [one for one in transaction.inserts if one.seq not in waited and not one.group]
            self._pending = kept + self._pending
            self._pending_bytes = size_of_all(self._pending)
            self._unwritten = self._unwritten_bytes = 0
            self._count_held()
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
        self.error = error
        self._complaints.warn("write", "the stream's store fails", error)
        self._blocked = not transaction.inserts  # else what makes room may be written meanwhile
        if not self._closed:
            self._retry_timer = asyncio.get_running_loop().call_later(_RETRY_S, self._retry)

    def _retry(self) -> None:
        """Try again what could not be written; if nothing is left of it, whoever sends next tries."""
        self._retry_timer = None
        self._blocked = False
        if self.error is not None and not self._pending and not self._is_due():
            self.error = None
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
