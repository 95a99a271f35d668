"""Messages that a stream has accepted, from any thread, until a transaction writes them."""

import threading
import time
from dataclasses import dataclass
from typing import Literal

from colugo.errors import ClosedError, StoreError, StreamFullError
from colugo.patterns.base import check_choice, check_count
from colugo.protocol.streams.stream_message import StreamMessage
from colugo.store import CommitOutcome, OpenedStore, Trim, size_of_all

_MAX_PENDING_BYTES = 64 * 1024 * 1024
_MAX_PENDING = 250_000
"""Messages that may wait while a transaction is written; a thread may send faster than the store writes."""
_new = tuple.__new__

FullPolicy = Literal["reject", "wait", "drop-oldest"]


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """Limits of the messages that a stream keeps, dead letters included; `max_age_ms` None is no limit."""

    max_messages: int
    max_bytes: int
    max_age_ms: int | None
    full: FullPolicy

    def __post_init__(self) -> None:
        """Raise a ConfigurationError if a limit is not valid."""
        check_choice("full", self.full, FullPolicy)
        if self.max_age_ms is not None:
            check_count("max_age_ms", self.max_age_ms)
        check_count("max_messages", self.max_messages)
        check_count("max_bytes", self.max_bytes)

    def trim(self, now_ns: int) -> Trim:
        """Return the trim that enforces these limits at a time in nanoseconds since 1970."""
        oldest = None if self.max_age_ms is None else now_ns - self.max_age_ms * 1_000_000
        if self.full != "drop-oldest":
            return Trim(oldest_ns=oldest)
        return Trim(self.max_messages, self.max_bytes, oldest)


class Intake:
    """Numbers messages, and rejects those that exceed the limits.

    Attributes:
        count: messages in the store, without dead letters.
        size: bytes in the store.
        last: the number of the last message accepted.
        error: the reason why the store cannot be written to at present; None if it can.
        writing: True during a transaction, while the number of pending messages is limited.
        short: True if a message was rejected since the last transaction began.
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
        self._replaced: list[tuple[str, int]] = []
        """Dead letters that pending messages replace."""
        self._unwritten = self._unwritten_bytes = 0
        """Messages and bytes of the transaction that is being written."""
        self._held = self._held_bytes = 0
        """Messages and bytes that count towards the limits."""
        self._count_held()

    @property
    def pending(self) -> bool:
        """True if messages wait for a transaction."""
        return bool(self._pending)

    @property
    def unwritten(self) -> int:
        """The number of messages that have not been written yet."""
        return self._unwritten + len(self._pending)

    @property
    def empty(self) -> bool:
        """True if the stream keeps nothing but dead letters."""
        return not (self.count or self.unwritten)

    def add(
        self, key: str, headers: bytes, payload: bytes, flags: int, *, replaces: tuple[str, int] | None = None
    ) -> int:
        """Accept a message; from any thread.

        If it `replaces` a dead letter (group and number), only that group receives it, it is accepted by a
        full stream, too, and the letter is deleted in the transaction that writes the message.

        Returns:
            The number of the message.

        Raises:
            StreamFullError: if it exceeds the limits.
            StoreError: if the store cannot be written to at present.
            ClosedError: after `close()`.
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
                self._replaced.append(replaces)
                group = replaces[0]
            # a named tuple's own constructor takes twice as long
            self._pending.append(_new(StreamMessage, (seq, key, headers, payload, flags, sent_ns, group)))
            self._pending_bytes += size
            self._held += 1
            self._held_bytes += size
            self.sent += 1
        return seq

    def has_room(self, size: int) -> bool:
        """Return False if `add` rejects a message of that many bytes for now, and later may not."""
        if self.closed or self.error is not None:
            return True
        limits = self.limits
        with self._lock:
            if size > limits.max_bytes:  # always rejected
                return True
            if self.writing and self._has_too_much():
                return False
            return self._held < limits.max_messages and self._held_bytes + size <= limits.max_bytes

    def begin(self, *, inserts: bool) -> tuple[list[StreamMessage], list[tuple[str, int]]]:
        """Begin a transaction: return its messages, if there are to be any, and the letters they replace."""
        self.short = False
        with self._lock:
            self.writing = True
            if not inserts:
                return [], []
            messages, self._pending = self._pending, []
            self._unwritten, self._unwritten_bytes = len(messages), self._pending_bytes
            self._pending_bytes = 0
            replaced, self._replaced = self._replaced, []
        return messages, replaced

    def on_committed(self, outcome: CommitOutcome) -> None:
        """End a transaction, and take the counts of the store."""
        with self._lock:
            self.writing = False
            self._unwritten = self._unwritten_bytes = 0
            self.count, self.size, self.dead = outcome.count, outcome.size, outcome.dead
            self._count_held()

    def on_failed(self, messages: list[StreamMessage], error: StoreError) -> None:
        """End a transaction, put these messages of it back, and reject others with the error."""
        with self._lock:
            self.writing = False
            self.error = error
            self._pending = messages + self._pending
            self._pending_bytes = size_of_all(self._pending)
            self._unwritten = self._unwritten_bytes = 0
            self._count_held()

    def clear_error(self) -> None:
        """Accept messages again."""
        self.error = None

    def close(self) -> None:
        """Reject all further messages."""
        with self._lock:
            self.closed = True

    def _has_too_much(self) -> bool:
        return self._pending_bytes > _MAX_PENDING_BYTES or len(self._pending) > _MAX_PENDING

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
