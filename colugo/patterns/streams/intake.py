"""Messages that a stream has accepted, from any thread, until a transaction writes them."""

import threading
import time
from dataclasses import dataclass
from typing import Literal

from colugo.errors import ClosedError, StoreError, StreamFullError
from colugo.protocol.streams.stream_message import StreamMessage
from colugo.store import CommitOutcome, OpenedStore, Trim, size_of_all

_MAX_PENDING_BYTES = 64 * 1024 * 1024
_MAX_PENDING = 250_000
"""Messages that may wait while a transaction is written; a thread may send faster than the store writes."""
_new = tuple.__new__

FullPolicy = Literal["reject", "wait", "drop-oldest"]


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """Limits of the messages that a stream keeps.

    Attributes:
        max_messages: number of messages, dead letters included.
        max_bytes: their bytes.
        max_age_ms: the time that a message is kept, in milliseconds; None for no limit.
        full: the treatment of messages beyond `max_messages` and `max_bytes`.
    """

    max_messages: int
    max_bytes: int
    max_age_ms: int | None
    full: FullPolicy

    def trim(self, now_ns: int) -> Trim:
        """Return the trim that enforces these limits.

        Args:
            now_ns: nanoseconds since 1970.
        """
        oldest = None if self.max_age_ms is None else now_ns - self.max_age_ms * 1_000_000
        if self.full != "drop-oldest":
            return Trim(oldest_ns=oldest)
        return Trim(self.max_messages, self.max_bytes, oldest)


class Intake:
    """Numbers messages, and rejects those that exceed the limits.

    Attributes:
        count: messages in the store, without dead letters.
        size: bytes in the store.
        dead: dead letters in the store.
        last: the number of the last message accepted.
        sent: messages accepted.
        rejected: messages rejected.
        error: the reason why the store cannot be written to at present; None if it can.
        closed: True after `close()`.
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
        self._replaced: dict[int, tuple[str, int]] = {}
        """Dead letters that pending messages replace, by the numbers of the messages."""
        self._unwritten = 0
        self._unwritten_bytes = 0
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
        self,
        key: str,
        headers: bytes,
        payload: bytes,
        flags: int,
        *,
        replaces: tuple[str, int] | None = None,
    ) -> int:
        """Accept a message; from any thread.

        Args:
            key: its key.
            headers: packed.
            payload: encoded.
            flags: FLAG_TEXT.
            replaces: group and number of a dead letter that is resurrected as this message: only that group
                receives it, it is accepted by a full stream, too, and the letter is deleted in the
                transaction that writes the message.

        Returns:
            Its number.

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
                self._replaced[seq] = replaces
                group = replaces[0]
            # a named tuple's own constructor takes twice as long
            self._pending.append(_new(StreamMessage, (seq, key, headers, payload, flags, sent_ns, group)))
            self._pending_bytes += size
            self._held += 1
            self._held_bytes += size
            self.sent += 1
        return seq

    def has_room(self, size: int) -> bool:
        """Return False if `add` rejects a message for now, and later may not.

        Args:
            size: bytes of payload, headers and key.
        """
        if self.closed or self.error is not None:
            return True
        limits = self.limits
        with self._lock:
            if size > limits.max_bytes:  # always rejected
                return True
            if self.writing and self._has_too_much():
                return False
            return self._held < limits.max_messages and self._held_bytes + size <= limits.max_bytes

    def clear_shortage(self) -> None:
        """Forget rejections, as a transaction begins."""
        self.short = False

    def take(self) -> tuple[list[StreamMessage], list[tuple[str, int]]]:
        """Return the messages for the next transaction, and the dead letters that they replace."""
        with self._lock:
            messages, self._pending = self._pending, []
            self._unwritten, self._unwritten_bytes = len(messages), self._pending_bytes
            self._pending_bytes = 0
            replaced, self._replaced = self._replaced, {}
        return messages, list(replaced.values())

    def start_writing(self) -> None:
        """Limit the number of pending messages until `stop_writing`."""
        self.writing = True

    def stop_writing(self) -> None:
        """Note that the transaction has ended."""
        self.writing = False

    def on_committed(self, outcome: CommitOutcome) -> None:
        """Take the counts of the store, after a transaction that wrote the messages of `take`."""
        with self._lock:
            self._unwritten = self._unwritten_bytes = 0
            self.count, self.size, self.dead = outcome.count, outcome.size, outcome.dead
            self._count_held()

    def put_back(self, messages: list[StreamMessage]) -> None:
        """Let `take` return these messages again, after a transaction that failed."""
        with self._lock:
            self._pending = messages + self._pending
            self._pending_bytes = size_of_all(self._pending)
            self._unwritten = self._unwritten_bytes = 0
            self._count_held()

    def set_error(self, error: StoreError | None) -> None:
        """Reject messages with this error; None to accept them again."""
        self.error = error

    def close(self) -> None:
        """Reject all further messages."""
        with self._lock:
            self.closed = True

    def _has_too_much(self) -> bool:
        """Return True if no more messages are accepted before the next transaction."""
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
