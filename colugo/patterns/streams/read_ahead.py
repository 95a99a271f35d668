"""Reading of messages from the store, or from the newest messages in memory, into the groups' queues."""

import asyncio
from bisect import bisect_right
from collections.abc import Callable
from functools import partial
from operator import itemgetter

from colugo.errors import StoreError
from colugo.net.runtime import Runtime
from colugo.patterns.base import ThrottledWarnings
from colugo.patterns.streams.group import StreamGroup
from colugo.patterns.streams.retention import Retention
from colugo.patterns.streams.transaction_writer import TransactionWriter
from colugo.protocol.streams.stream_message import StreamMessage
from colugo.store import Store

PAGE = 1024
_PAGE_BYTES = 4 * 1024 * 1024
_RETRY_S = 1.0
_TAIL_BYTES = 32 * 1024 * 1024
_OVERHEAD = 300
"""The memory of a message besides its payload and headers."""
_seq, _payload, _headers = map(itemgetter, (0, 3, 2))


class ReadAhead:
    """Fills the queues of groups that have members.

    `StreamGroup.offered` is stored before messages are offered; after a crash, messages up to it are flagged
    as redelivered. `schedule` is called when a group may have something to deliver; the owner of `present`
    keeps the groups with members there.
    """

    def __init__(
        self,
        runtime: Runtime,
        store: Store,
        writer: TransactionWriter,
        retention: Retention,
        *,
        present: dict[StreamGroup, None],
        schedule: Callable[[StreamGroup], None],
    ) -> None:
        self._store = store
        self._writer = writer
        self._retention = retention
        self._present = present
        self._tail = Tail(writer.committed)
        self._schedule = schedule
        self._warnings = ThrottledWarnings(runtime)
        self._reading: set[StreamGroup] = set()
        """Groups whose next messages are being read, or wait until `offered` has been stored."""
        self._closed = False

    def close(self) -> None:
        """Ignore the results of reads under way."""
        self._closed = True

    def forget_newest(self) -> None:
        """Read from the store only, for now: memory has messages that may have been deleted there."""
        self._tail.clear(self._writer.committed)

    def on_inserting(self, messages: list[StreamMessage]) -> None:
        """Mark groups that are up to date: they are offered these messages without a transaction more."""
        for group in self._present:
            if group.cursor >= self._tail.after:
                group.offered_only_to(messages[-1].seq)
                self._writer.mark_dirty(group)

    def on_inserted(self, messages: list[StreamMessage]) -> None:
        """Keep messages in memory that have been written, if a group has members to receive them."""
        cursors = [group.cursor for group in self._present]
        if cursors:
            self._tail.drop(min(cursors))
            self._tail.add(messages)
        else:
            self.forget_newest()

    def fill(self, group: StreamGroup) -> None:
        """Read on for a group, if it is behind and has room."""
        until = self._writer.committed
        if group.cursor >= until or group in self._reading or not group.has_room:
            return
        if group.cursor < self._tail.after:
            self._reading.add(group)
            done = partial(self._on_read, group, group.epoch, until)
            self._store.read(group.cursor, PAGE, _PAGE_BYTES, done)
            return
        messages = self._tail.following(group.cursor, PAGE)
        if messages and messages[-1].seq <= group.stored_offered:
            self._take(group, messages)
        else:
            self._on_read(group, group.epoch, until, messages)

    def _on_read(
        self, group: StreamGroup, epoch: int, until: int, result: list[StreamMessage] | StoreError
    ) -> None:
        """Store that messages are offered, then offer them."""
        if self._closed or not self._retention.has(group):
            self._reading.discard(group)
            return
        if isinstance(result, StoreError):
            text = f"cannot read messages for the group {group.name!r}; trying again"
            self._warnings.warn(("read", group.name), text, result)
            asyncio.get_running_loop().call_later(_RETRY_S, self._read_again, group)
        elif epoch != group.epoch:
            self._read_again(group)
        elif not result:
            skipped = group.skip_to(until)
            if skipped:
                self._retention.skip(group, skipped, [])
            self._read_again(group)
        else:
            self._reading.add(group)
            group.mark_offered(result[-1].seq)
            self._writer.mark_dirty(group)
            self._writer.after_commit(partial(self._offer, group, epoch, result))
            self._writer.request_write()

    def _offer(self, group: StreamGroup, epoch: int, messages: list[StreamMessage]) -> None:
        self._reading.discard(group)
        if epoch != group.epoch:
            self._schedule(group)
        elif self._retention.has(group):
            self._take(group, messages)

    def _read_again(self, group: StreamGroup) -> None:
        self._reading.discard(group)
        self._schedule(group)

    def _take(self, group: StreamGroup, messages: list[StreamMessage]) -> None:
        skipped, unwanted, dead = group.take(messages)
        if skipped:
            self._retention.skip(group, skipped, unwanted)
        self._retention.dead_letter(group, dead)
        self._schedule(group)


class Tail:
    """The newest stored messages, for groups that are nearly up to date.

    Attributes:
        after: the number of the last message that is in the store only; all later ones are here.
    """

    def __init__(self, after: int) -> None:
        self.after = after
        self._messages: list[StreamMessage] = []
        self._size = 0

    def add(self, messages: list[StreamMessage]) -> None:
        """Add messages that follow the last one; drop the oldest ones beyond 32 MiB."""
        self._messages += messages
        self._size += _size_of(messages)
        while self._size > _TAIL_BYTES and self._messages:
            self._drop(max(1, len(self._messages) // 2))

    def following(self, after: int, limit: int) -> list[StreamMessage]:
        """Return the messages after a number, which is at least `self.after`."""
        begin = bisect_right(self._messages, after, key=_seq)
        return self._messages[begin : begin + limit]

    def clear(self, after: int) -> None:
        """Drop all messages, of which `after` is the last."""
        self.after = after
        self._messages.clear()
        self._size = 0

    def drop(self, until: int) -> None:
        """Drop all messages up to a number."""
        count = bisect_right(self._messages, until, key=_seq)
        if count:
            self._drop(count)

    def _drop(self, count: int) -> None:
        self.after = self._messages[count - 1].seq
        self._size -= _size_of(self._messages[:count])
        del self._messages[:count]


def _size_of(messages: list[StreamMessage]) -> int:
    size = sum(map(len, map(_payload, messages))) + sum(map(len, map(_headers, messages)))
    return size + _OVERHEAD * len(messages)
