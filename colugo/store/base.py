"""The storage of a stream: the interface of all stores, and the data that they take and return."""

from collections.abc import Callable
from dataclasses import dataclass, field
from operator import itemgetter
from typing import NamedTuple, Protocol

from colugo.errors import StoreError
from colugo.protocol.streams.stream_message import StreamMessage

_key, _headers, _payload = map(itemgetter, (1, 2, 3))


@dataclass(slots=True)
class GroupRecord:
    """The stored state of one consumer group.

    Attributes:
        durable: whether messages are kept for the group while it has no members.
        bindings: patterns of the keys that it receives.
        done: the sequence numbers that it has settled, as encoded ranges.
        offered: the highest sequence number that may have been delivered to it.
        flight: messages on their first attempt at the last write, as encoded ranges.
        forgotten: whether the group was retired; no messages are kept for it.
        changed_ms: when `durable` or `forgotten` last changed, in milliseconds since 1970.
        earlier: previous bindings, which apply to older messages: the last sequence number that each of
            them applies to, and its patterns.
    """

    name: str
    durable: bool = True
    bindings: tuple[str, ...] = ("#",)
    done: bytes = b""
    offered: int = 0
    flight: bytes = b""
    forgotten: bool = False
    changed_ms: int = 0
    earlier: tuple[tuple[int, tuple[str, ...]], ...] = ()


class StoredDeadLetter(NamedTuple):
    """A message that a group has given up.

    Attributes:
        reason: why the group gave up, in a few words.
        traceback: the traceback of the last exception; `""` without one.
        died_ns: the time, in nanoseconds since 1970.
    """

    message: StreamMessage
    group: str
    attempts: int
    reason: str
    traceback: str
    died_ns: int


class Trim(NamedTuple):
    """Limits beyond which the oldest messages are dropped; None means no limit.

    Attributes:
        max_messages: the highest number of messages to keep.
        max_bytes: the highest number of bytes to keep. Dead letters count, but are never dropped.
        oldest_ns: messages sent before this time are dropped, in order, up to the first later one.
    """

    max_messages: int | None = None
    max_bytes: int | None = None
    oldest_ns: int | None = None

    def exceeded(self, count: int, size: int) -> bool:
        """Return True if this many messages or bytes exceed a limit."""
        return (self.max_messages is not None and count > self.max_messages) or (
            self.max_bytes is not None and size > self.max_bytes
        )


@dataclass(slots=True)
class Transaction:
    """Changes that are made atomically, in the order of the attributes.

    Attributes:
        inserts: new messages, with sequence numbers that were never used before.
        deletes: ranges of sequence numbers, both ends included. Their attempts are deleted, too.
        gone: names of groups whose records are deleted.
        groups: new or changed records, by name.
        attempts: group, sequence number and number of attempts.
        settled: group and sequence number of attempts to delete.
        dead: new dead letters; each replaces one of the same group and sequence number.
        undead: group and sequence number of dead letters to delete.
        trim: limits to apply at the end.
    """

    inserts: list[StreamMessage] = field(default_factory=list)
    deletes: list[tuple[int, int]] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    groups: dict[str, GroupRecord] = field(default_factory=dict)
    attempts: list[tuple[str, int, int]] = field(default_factory=list)
    settled: list[tuple[str, int]] = field(default_factory=list)
    dead: list[StoredDeadLetter] = field(default_factory=list)
    undead: list[tuple[str, int]] = field(default_factory=list)
    trim: Trim | None = None


@dataclass(frozen=True, slots=True)
class CommitOutcome:
    """The state of a store after a transaction.

    Attributes:
        count: the number of messages, without dead letters.
        size: the bytes of messages and dead letters: payload, headers and key.
        trimmed: sequence numbers dropped because of `max_messages` or `max_bytes`.
        expired: sequence numbers dropped because of `oldest_ns`.
    """

    count: int
    size: int
    dead: int
    trimmed: list[int]
    expired: list[int]


@dataclass(frozen=True, slots=True)
class OpenedStore:
    """The content of a store when it is opened.

    Attributes:
        stream_id: 8 bytes that identify the stream for the life of the store.
        last_seq: the highest sequence number that was ever used.
        size: bytes, as in `CommitOutcome`.
        groups: all groups, forgotten ones included.
        attempts: the number of attempts by group and sequence number, if more than one.
        corrupt: the number of damaged rows that were set aside.
        topic: the stream's topic; empty if the store does not know it.
    """

    stream_id: bytes
    last_seq: int
    count: int
    size: int
    dead: int
    groups: list[GroupRecord]
    attempts: dict[tuple[str, int], int]
    corrupt: int
    topic: str = ""


class DeadQuery(NamedTuple):
    """A query for dead letters, ordered by sequence number and group; all conditions must hold.

    Attributes:
        group: only this group's.
        key: only those with exactly this key.
        after: only those after this sequence number and group: the last ones of the previous page.
        limit: the highest number of letters.
        ids: only these groups and sequence numbers.
        max_bytes: the highest sum of payload bytes; the first letter is returned in any case.
    """

    group: str | None = None
    key: str | None = None
    after: tuple[int, str] = (0, "")
    limit: int = 1000
    ids: list[tuple[str, int]] | None = None
    max_bytes: int = 16 * 1024 * 1024


Committed = Callable[[CommitOutcome | StoreError], None]
Read = Callable[[list[StreamMessage] | StoreError], None]
ReadDead = Callable[[list[StoredDeadLetter] | StoreError], None]


class Store(Protocol):
    """The storage of one stream's messages.

    After `open`, call it on the loop's thread only. It carries out calls in order, one at a time.

    Attributes:
        on_corrupt: called with the sequence numbers of messages that were found damaged while reading.
            They have been set aside and are not returned again.
    """

    on_corrupt: Callable[[list[int]], None] | None

    def open(self) -> OpenedStore:
        """Open the store, on any thread, before or while the loop runs.

        Raises:
            StoreError: if that is not possible, or would lose data.
        """

    def commit(self, transaction: Transaction, done: Committed) -> None:
        """Carry out a transaction.

        Args:
            transaction: the changes; do not modify it afterwards.
            done: called with the outcome once the transaction is as durable as the store promises, or
                with the error if none of it was stored.
        """

    def read(self, after: int, limit: int, max_bytes: int, done: Read) -> None:
        """Read messages in the order of their sequence numbers.

        Args:
            after: read messages with higher sequence numbers than this.
            limit: the highest number of messages.
            max_bytes: the highest sum of payload bytes; the first message is returned in any case.
            done: called with the messages.
        """

    def get(self, seqs: list[int], done: Read) -> None:
        """Read messages by sequence number; missing ones are left out.

        Args:
            seqs: the sequence numbers.
            done: called with the messages, in the order of their sequence numbers.
        """

    def dead_letters(self, query: DeadQuery, done: ReadDead) -> None:
        """Read dead letters.

        Args:
            query: the conditions.
            done: called with the dead letters.
        """

    async def aclose(self) -> None:
        """Finish pending work and close. Closing again does nothing."""

    def close(self) -> None:
        """Close without a loop; blocks until pending work is done."""


def size_of(message: StreamMessage) -> int:
    """Return the bytes that a message counts for: payload, headers and key."""
    return len(message.payload) + len(message.headers) + len(message.key.encode())


def size_of_all(messages: list[StreamMessage]) -> int:
    """Return the bytes that several messages count for together."""
    keys = "".join(map(_key, messages))
    size = sum(map(len, map(_payload, messages))) + sum(map(len, map(_headers, messages)))
    return size + len(keys.encode())
