"""Reading of messages from the store, or from the newest messages in memory, into the groups' queues."""

import asyncio
from collections.abc import Callable
from functools import partial

from colugo.errors import StoreError
from colugo.net.runtime import Runtime
from colugo.patterns.base import ThrottledWarnings
from colugo.patterns.streams.group import StreamGroup
from colugo.patterns.streams.groups import Groups
from colugo.patterns.streams.journal import Journal
from colugo.patterns.streams.tail import Tail
from colugo.protocol.streams.stream_message import StreamMessage
from colugo.store import Store

PAGE = 1024
_PAGE_BYTES = 4 * 1024 * 1024
_RETRY_S = 1.0


class ReadAhead:
    """Fills the queues of groups that have members.

    `StreamGroup.offered` is stored before messages are offered; after a crash, messages up to it are flagged
    as redelivered. `schedule` is called when a group may have something to deliver.
    """

    def __init__(
        self,
        runtime: Runtime,
        store: Store,
        journal: Journal,
        groups: Groups,
        *,
        tail: Tail,
        schedule: Callable[[StreamGroup], None],
    ) -> None:
        self._store = store
        self._journal = journal
        self._groups = groups
        self._tail = tail
        self._schedule = schedule
        self._warnings = ThrottledWarnings(runtime)
        self._reading: set[StreamGroup] = set()
        """Groups whose next messages are being read, or wait until `offered` has been stored."""
        self._closed = False

    def close(self) -> None:
        """Ignore the results of reads under way."""
        self._closed = True

    def on_inserting(self, messages: list[StreamMessage]) -> None:
        """Mark groups that are up to date: they are offered these messages without a transaction more."""
        for group in self._groups.present:
            if group.cursor >= self._tail.after:
                group.mark_offered(messages[-1].seq)
                self._journal.mark_dirty(group)

    def on_inserted(self, messages: list[StreamMessage]) -> None:
        """Keep messages in memory that have been written, if a group has members to receive them."""
        cursors = [group.cursor for group in self._groups.present]
        if cursors:
            self._tail.drop(min(cursors))
            self._tail.add(messages)
        else:
            self._tail.clear(self._journal.committed)

    def fill(self, group: StreamGroup) -> None:
        """Read on for a group, if it is behind and has room."""
        until = self._journal.committed
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
        if self._closed or not self._groups.has(group):
            self._reading.discard(group)
            return
        if isinstance(result, StoreError):
            text = f"cannot read messages for the group {group.name!r}; trying again"
            self._warnings.warn(("read", group.name), text, result)
            asyncio.get_running_loop().call_later(_RETRY_S, self._read_again, group)
            return
        if epoch != group.epoch:
            self._read_again(group)
            return
        if not result:
            self._reading.discard(group)
            skipped = group.skip_to(until)
            if skipped:
                self._groups.retention.skip(group, skipped, [])
            self._schedule(group)
            return
        self._reading.add(group)
        group.mark_offered(result[-1].seq)
        self._journal.mark_dirty(group)
        self._journal.after_commit(partial(self._offer, group, epoch, result))
        self._journal.request_write()

    def _offer(self, group: StreamGroup, epoch: int, messages: list[StreamMessage]) -> None:
        self._reading.discard(group)
        if epoch != group.epoch:
            self._schedule(group)
        elif self._groups.has(group):
            self._take(group, messages)

    def _read_again(self, group: StreamGroup) -> None:
        self._reading.discard(group)
        self._schedule(group)

    def _take(self, group: StreamGroup, messages: list[StreamMessage]) -> None:
        skipped, unwanted, dead = group.take(messages)
        if skipped:
            self._groups.retention.skip(group, skipped, unwanted)
        self._groups.retention.dead_letter(group, dead)
        self._schedule(group)
