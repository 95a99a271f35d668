"""What is sent to a stream, from any thread, until a transaction takes it."""

import threading
import time
from dataclasses import dataclass
from typing import Literal

from colugo.errors import ClosedError, StoreError, StreamFullError
from colugo.protocol.streams.stream_message import StreamMessage
from colugo.store import CommitOutcome, OpenedStore, size_of_all

_PENDING_BYTES = 64 * 1024 * 1024
_PENDING = 250_000
"""How much, and how many messages, may wait while others are written; a thread may send faster."""
_new = tuple.__new__

FullPolicy = Literal["reject", "wait", "drop-oldest"]


@dataclass(frozen=True, slots=True)
class StreamLimits:
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


class Intake:
    """Numbers messages, and refuses those for which there is no room.

    Args:
        limits: how much is kept.
        opened: what was in the store.

    Attributes:
        limits: how much is kept.
        count: how many messages the store has, without dead letters.
        size: bytes of what it has.
        dead: how many dead letters.
        last: the number of the last message that was taken.
        sent: how many were taken.
        rejected: how many were refused.
        error: why nothing can be written now.
        closed: whether nothing more is taken.
        writing: whether a transaction is under way, while which no more than a certain amount is taken.
        short: whether a message was refused since the last transaction began: what makes room is wanted.
    """

    def __init__(self, limits: StreamLimits, opened: OpenedStore) -> None:
        self.limits = limits
        self.count, self.size, self.dead = opened.count, opened.size, opened.dead
        self.last = opened.last_seq
        self.sent = self.rejected = 0
        self.error: StoreError | None = None
        self.closed = self.writing = self.short = False
        self._lock = threading.Lock()
        self._pending: list[StreamMessage] = []
        self._pending_bytes = 0
        self._replaced: dict[int, tuple[str, int]] = {}
        """Dead letters whose place is taken by messages that are not written yet, by their numbers."""
        self._unwritten = 0
        self._unwritten_bytes = 0
        self._held = self._held_bytes = 0
        """How much counts towards the limits."""
        self._count_held()

    @property
    def pending(self) -> bool:
        """Whether there are messages that no transaction has taken."""
        return bool(self._pending)

    @property
    def unwritten(self) -> int:
        """How many messages have not been written yet."""
        return self._unwritten + len(self._pending)

    @property
    def empty(self) -> bool:
        """Whether nothing is kept, but for dead letters."""
        return not (self.count or self.unwritten)

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
            if self.closed:
                raise ClosedError("the stream is closed")
            if self.error is not None:
                raise StoreError(f"not stored: {self.error}") from self.error
            if self.writing and self._has_too_much():
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
            self._pending.append(_new(StreamMessage, (seq, key, headers, payload, flags, sent_ns, group)))
            self._pending_bytes += size
            self._held += 1
            self._held_bytes += size
            self.sent += 1
        return seq

    def has_room(self, size: int) -> bool:
        """Whether there is room, or `add` refuses whatever room there is.

        Args:
            size: bytes of payload, headers and key.
        """
        if self.closed or self.error is not None:
            return True
        limits = self.limits
        with self._lock:
            if size > limits.max_bytes:  # it will never have
                return True
            if self.writing and self._has_too_much():
                return False
            return self._held < limits.max_messages and self._held_bytes + size <= limits.max_bytes

    def take(self) -> tuple[list[StreamMessage], list[tuple[str, int]]]:
        """The messages for the next transaction, and the dead letters whose place they take."""
        with self._lock:
            messages, self._pending = self._pending, []
            self._unwritten, self._unwritten_bytes = len(messages), self._pending_bytes
            self._pending_bytes = 0
            replaced, self._replaced = self._replaced, {}
        return messages, list(replaced.values())

    def written(self, outcome: CommitOutcome) -> None:
        """A transaction has been written, with the messages that it has taken."""
        with self._lock:
            self._unwritten = self._unwritten_bytes = 0
            self.count, self.size, self.dead = outcome.count, outcome.size, outcome.dead
            self._count_held()

    def put_back(self, messages: list[StreamMessage]) -> None:
        """A transaction could not be written: what it has taken and is given here is to be taken again."""
        with self._lock:
            self._pending = messages + self._pending
            self._pending_bytes = size_of_all(self._pending)
            self._unwritten = self._unwritten_bytes = 0
            self._count_held()

    def close(self) -> None:
        """Take nothing more."""
        with self._lock:
            self.closed = True

    def _has_too_much(self) -> bool:
        """Whether so much waits to be written that nothing more is taken before the next transaction."""
        return self._pending_bytes > _PENDING_BYTES or len(self._pending) > _PENDING

    def _rejection(self) -> StreamFullError:
        limits = self.limits
        self.rejected += 1
        self.short = True
        dead = f", {self.dead} of them dead letters" if self.dead else ""
        return StreamFullError(
            f"the stream holds {self._held} messages{dead} ({self._held_bytes} bytes): "
            f"max_messages is {limits.max_messages}, max_bytes {limits.max_bytes}"
        )

    def _count_held(self) -> None:
        self._held = self.count + self.dead + self._unwritten + len(self._pending)
        self._held_bytes = self.size + self._unwritten_bytes + self._pending_bytes
