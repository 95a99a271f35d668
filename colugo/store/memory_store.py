"""A store in memory, which ends with its process."""

import os
from bisect import bisect_right, insort
from collections.abc import Callable
from dataclasses import replace

from colugo.errors import ClosedError, LifecycleError, StoreError
from colugo.protocol.streams.stream_message import StreamMessage
from colugo.store.base import (
    CommitOutcome,
    Committed,
    DeadQuery,
    GroupRecord,
    OpenedStore,
    Read,
    ReadDead,
    StoredDeadLetter,
    Transaction,
    Trim,
    size_of,
    size_of_all,
)

_MIN_COMPACTED = 1000


class MemoryStore:
    """A store in memory; each callback is called before the method returns, `on_corrupt` never."""

    on_corrupt: Callable[[list[int]], None] | None = None

    def __init__(self) -> None:
        self._stream_id = os.urandom(8)
        self._messages: dict[int, StreamMessage] = {}
        self._order: list[int] = []
        """Sequence numbers in ascending order; some of their messages may have been deleted."""
        self._dead: dict[tuple[int, str], StoredDeadLetter] = {}
        self._groups: dict[str, GroupRecord] = {}
        self._attempts: dict[tuple[str, int], int] = {}
        self._last_seq = 0
        self._size = 0
        self._open = False
        self._closed = False

    def open(self) -> OpenedStore:
        """See `Store.open`.

        Raises:
            LifecycleError: if it was opened before.
        """
        if self._open or self._closed:
            raise LifecycleError("a store in memory can be opened only once")
        self._open = True
        return OpenedStore(self._stream_id, 0, 0, 0, 0, [], {}, 0)

    async def aclose(self) -> None:
        """Close the store and discard its content."""
        self.close()

    def close(self) -> None:
        """Close the store and discard its content."""
        self._closed = True
        self._messages.clear()
        self._order.clear()
        self._dead.clear()
        self._groups.clear()
        self._attempts.clear()

    def commit(self, transaction: Transaction, done: Committed) -> None:
        """See `Store.commit`.

        Raises:
            ClosedError: when it is closed.
            UnicodeEncodeError: if a key has a lone surrogate.
        """
        self._check()
        known = [message.seq for message in transaction.inserts if message.seq in self._messages]
        if known:
            done(StoreError(f"the store already has messages with these sequence numbers: {known}"))
            return
        self._size += size_of_all(transaction.inserts)
        self._insert(transaction.inserts)
        self._delete(transaction.deletes)
        self._write_groups(transaction)
        trimmed: list[int] = []
        expired: list[int] = []
        if transaction.trim is not None:
            self._trim(transaction.trim, trimmed, expired)
        self._compact()
        done(CommitOutcome(len(self._messages), self._size, len(self._dead), trimmed, expired))

    def read(self, after: int, limit: int, max_bytes: int, done: Read) -> None:
        """See `Store.read`."""
        self._check()
        found: list[StreamMessage] = []
        size = 0
        at = bisect_right(self._order, after)
        while len(found) < limit and at < len(self._order):
            message = self._messages.get(self._order[at])
            at += 1
            if message is None:
                continue
            size += len(message.payload)
            if found and size > max_bytes:
                break
            found.append(message)
        done(found)

    def get(self, seqs: list[int], done: Read) -> None:
        """See `Store.get`."""
        self._check()
        done([self._messages[seq] for seq in sorted(set(seqs)) if seq in self._messages])

    def dead_letters(self, query: DeadQuery, done: ReadDead) -> None:
        """See `Store.dead_letters`."""
        self._check()
        ids = None if query.ids is None else set(query.ids)
        found: list[StoredDeadLetter] = []
        size = 0
        for (seq, group), letter in sorted(self._dead.items()):
            if (
                (seq, group) > query.after
                and query.group in {None, group}
                and query.key in {None, letter.message.key}
                and (ids is None or (group, seq) in ids)
            ):
                size += len(letter.message.payload)
                if len(found) >= query.limit or (found and size > query.max_bytes):
                    break
                found.append(letter)
        done(found)

    def _check(self) -> None:
        if self._closed:
            raise ClosedError("the store is closed")
        if not self._open:
            raise LifecycleError("the store is not open")

    def _insert(self, messages: list[StreamMessage]) -> None:
        for message in messages:
            seq = message.seq
            self._messages[seq] = message
            if seq > self._last_seq:
                self._last_seq = seq
                self._order.append(seq)
            else:
                insort(self._order, seq)

    def _delete(self, ranges: list[tuple[int, int]]) -> None:
        for first, last in ranges:
            start = bisect_right(self._order, first - 1)
            end = bisect_right(self._order, last)
            for seq in self._order[start:end]:
                self._drop(seq)
        if self._attempts and ranges:
            for group, seq in list(self._attempts):
                if any(first <= seq <= last for first, last in ranges):
                    del self._attempts[group, seq]

    def _drop(self, seq: int) -> None:
        message = self._messages.pop(seq, None)
        if message is not None:
            self._size -= size_of(message)

    def _drop_dead(self, seq: int, group: str) -> None:
        letter = self._dead.pop((seq, group), None)
        if letter is not None:
            self._size -= size_of(letter.message)

    def _write_groups(self, transaction: Transaction) -> None:
        for letter in transaction.dead:
            self._drop_dead(*_seq_and_group(letter))
            self._dead[_seq_and_group(letter)] = letter
            self._size += size_of(letter.message)
        for group, seq in transaction.undead:
            self._drop_dead(seq, group)
        for name in transaction.gone:
            self._groups.pop(name, None)
        for record in transaction.groups.values():
            self._groups[record.name] = replace(record)
        for group, seq, tries in transaction.attempts:
            self._attempts[group, seq] = tries
        for pair in transaction.settled:
            self._attempts.pop(pair, None)

    def _trim(self, trim: Trim, trimmed: list[int], expired: list[int]) -> None:
        expiring = trim.oldest_ns is not None
        gone = 0
        for seq in self._order:
            message = self._messages.get(seq)
            if message is None:
                gone += 1
                continue
            expiring = expiring and trim.oldest_ns is not None and message.sent_ns < trim.oldest_ns
            if expiring:
                expired.append(seq)
            elif trim.exceeded(len(self._messages), self._size):
                trimmed.append(seq)
            else:
                break
            gone += 1
            self._drop(seq)
        if gone > _MIN_COMPACTED:  # otherwise every trim would skip them again
            del self._order[:gone]
        last = max(*trimmed, *expired, 0, 0)
        for group, seq in list(self._attempts):
            if seq <= last:
                del self._attempts[group, seq]

    def _compact(self) -> None:
        """Drop the sequence numbers of deleted messages; amortized over many deletions."""
        if len(self._order) > 2 * len(self._messages) + _MIN_COMPACTED:
            self._order = sorted(self._messages)


def _seq_and_group(letter: StoredDeadLetter) -> tuple[int, str]:
    return letter.message.seq, letter.group
