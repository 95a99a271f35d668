"""The progress of a stream's groups, and the messages that the stream can delete because of it."""

import time
from collections.abc import Iterable
from typing import Literal

from colugo.errors import ColugoError
from colugo.net.runtime import Runtime
from colugo.patterns.base import ThrottledWarnings
from colugo.patterns.streams.group import Ranges, StreamGroup
from colugo.patterns.streams.transaction_writer import TransactionWriter
from colugo.protocol.streams.attempts import ExhaustedMessage
from colugo.protocol.streams.ranges import RangeSet, to_ranges
from colugo.protocol.streams.stream_message import StreamMessage, message_id
from colugo.store import StoredDeadLetter

AckPolicy = Literal["all", "any"]


class Retention:
    """Records which messages each group is done with, and deletes those that no group needs.

    With "all", a message is deleted when every group is done with it; with "any", when one has handled it.
    The owner of `groups`, the known ones by name, adds and removes them.

    Attributes:
        unrouted: messages deleted or returned because no group had wanted them.
    """

    def __init__(
        self,
        runtime: Runtime,
        writer: TransactionWriter,
        groups: dict[str, StreamGroup],
        *,
        stream_id: bytes,
        ack: AckPolicy,
    ) -> None:
        self._writer = writer
        self._groups = groups
        self._stream_id = stream_id
        self._any = ack == "any"
        self._warnings = ThrottledWarnings(runtime)
        self._delete = writer.delete
        self._deferred: RangeSet | None = None
        """While deletion is deferred: the messages that all groups known so far are done with."""
        self.unrouted = 0

    def has(self, group: StreamGroup) -> bool:
        """Return True if a group has not been removed."""
        return self._groups.get(group.name) is group

    @property
    def deferring(self) -> bool:
        """True if deletion is deferred."""
        return self._deferred is not None

    def defer_deletion(self) -> None:
        """Keep messages that all groups are done with, for others that become known.

        With "any", nothing is deferred: a message that one group has handled is not for others.
        """
        if not self._any:
            self._deferred = RangeSet()
            self._delete = self._defer

    def delete_deferred(self) -> None:
        """Delete what has been deferred, unless a new group wants it; from now on, delete at once."""
        deferred, self._deferred = self._deferred, None
        self._delete = self._writer.delete
        if deferred:
            self._writer.delete(self._done_by_all(list(deferred)))
            self._writer.request_write()

    def sweep(self) -> None:
        """Delete all messages that every group is done with."""
        committed = self._writer.committed
        if self._groups and committed and not self._any:  # with "any", a later group may want it
            self._writer.delete(self._done_by_all([(1, committed)]))

    def unwanted(self, messages: Iterable[StreamMessage]) -> list[StreamMessage]:
        """Return those messages that no known group wants, and none has handled; not resurrected ones."""
        deferred = self._deferred or RangeSet()
        return [
            message
            for message in messages
            if not (message.group or message.seq in deferred or self._is_wanted(message))
        ]

    def finish(self, group: StreamGroup, seqs: list[int]) -> None:
        """Note that a group is done with messages."""
        self._forget_attempts(group, seqs)
        self._writer.mark_dirty(group)
        new = group.finish(to_ranges(seqs))
        if self._any:
            self._finish_for_others(group, new)
        self._delete(self._done_by_all(new))

    def skip(self, group: StreamGroup, ranges: Ranges, unwanted: Iterable[StreamMessage]) -> None:
        """Note that messages are not for a group, or no longer exist; `unwanted` are those that exist."""
        self._writer.mark_dirty(group)
        new = group.finish(ranges)
        if self._any:  # kept for groups that want them
            return
        deleted = self._done_by_all(new)
        if deleted:
            among = RangeSet(deleted)
            unrouted = [one.seq for one in unwanted if one.seq in among and not self._is_wanted(one)]
            if self._deferred is None:
                self.unrouted += len(unrouted)
            else:  # those are to be returned
                others = RangeSet(to_ranges(unrouted))
                deleted = [part for first, last in deleted for part in others.gaps(first, last)]
            self._delete(deleted)

    def dead_letter(self, group: StreamGroup, exhausted: list[ExhaustedMessage]) -> None:
        """Make messages dead letters of a group, which is done with them."""
        if not exhausted:
            return
        letters = []
        for entry, reason, traceback in exhausted:
            seq = entry.message.seq
            if self._any and seq in group.done:  # another group has handled it
                continue
            letters.append(
                StoredDeadLetter(entry.message, group.name, entry.attempt, reason, traceback, time.time_ns())
            )
            self._warnings.warn(
                group.name,
                f"message {message_id(self._stream_id, seq)} is a dead letter of the group {group.name!r} "
                f"after {entry.attempt} {'try' if entry.attempt == 1 else 'tries'}",
                ColugoError(reason),
            )
        group.count_dead(len(letters))
        self._writer.add_dead_letters(letters)
        self.finish(group, [entry.message.seq for entry, _, _ in exhausted])

    def discard(self, seqs: list[int]) -> None:
        """Note that the store has dropped messages.

        No records are written: a group that does not know of the gap finds it when it reads on.
        """
        ranges = to_ranges(seqs)
        for group in self._groups.values():
            if group.queue.messages:
                group.queue.discard(seqs)
            self._forget_attempts(group, seqs)
            group.finish(ranges)
        self._writer.request_write()

    def discard_unrouted(self, seqs: list[int]) -> None:
        """Count messages as unrouted; all groups are done with them."""
        self.unrouted += len(seqs)
        self.discard(seqs)

    def remove(self, group: StreamGroup) -> None:
        """Delete what only this group had waited for, after it has been removed from the known groups."""
        self._writer.delete_attempts(group, group.stored_attempts)
        if self._deferred is None:
            self.sweep()

    def _defer(self, ranges: Ranges) -> None:
        assert self._deferred is not None
        for first, last in ranges:
            self._deferred.add(first, last)

    def _forget_attempts(self, group: StreamGroup, seqs: list[int]) -> None:
        stored = group.forget_attempts(seqs)
        if stored:
            self._writer.delete_attempts(group, stored)

    def _finish_for_others(self, group: StreamGroup, ranges: Ranges) -> None:
        """Note that all groups are done with messages. Those of which they have deliveries still get them."""
        for other in self._groups.values():
            if other is group:
                continue
            self._writer.mark_dirty(other)
            other.finish(ranges)
            if other.stored_attempts or other.attempts or not other.present:
                seqs = [seq for first, last in ranges for seq in range(first, last + 1)]
                self._forget_attempts(other, seqs)
                if not other.present:
                    other.queue.discard(seqs)

    def _done_by_all(self, ranges: Ranges) -> Ranges:
        """Return the parts of ranges that all groups are done with.

        Groups receive messages in the order in which they are known; so the last one is likely to be behind.
        """
        for group in reversed(self._groups.values()):
            if not ranges:
                break
            ranges = [part for first, last in ranges for part in group.done.overlap(first, last)]
        return ranges

    def _is_wanted(self, message: StreamMessage) -> bool:
        return any(group.wants(message) for group in self._groups.values())
