"""Where a stream keeps its messages: what every store can do, and the data that goes in and out."""

from collections.abc import Callable
from dataclasses import dataclass, field
from operator import itemgetter
from typing import NamedTuple, Protocol

from colugo.errors import StoreError
from colugo.protocol.streams.stream_message import StreamMessage

_key, _headers, _payload = map(itemgetter, (1, 2, 3))


@dataclass(slots=True)
class GroupRecord:
    """What a stream remembers of one consumer group.

    Attributes:
        name: of the group.
        durable: whether messages wait for it while it has no members.
        bindings: patterns of the keys that it gets.
        done: the numbers that it has finished, as encoded ranges.
        offered: the highest number that may have been handed to it.
        flight: first tries under way at the last write, as encoded ranges.
        forgotten: whether it was retired; nothing waits for it.
        changed_ms: when durability or `forgotten` changed, in milliseconds since 1970.
        earlier: bindings before, which older messages are judged by: the number of the last of these, and
            patterns.
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
        message: as it was.
        group: which could not handle it.
        attempts: how often it was tried.
        reason: why it was given up, in a few words.
        traceback: of the last exception; `""` without one.
        died_ns: when, in nanoseconds since 1970.
    """

    message: StreamMessage
    group: str
    attempts: int
    reason: str
    traceback: str
    died_ns: int


class Trim(NamedTuple):
    """Which of the oldest messages go: None means no limit.

    Attributes:
        max_messages: how many stay at most.
        max_bytes: how many bytes stay at most, those of dead letters included; these do not go.
        oldest_ns: those sent before go, in order, up to the first that was sent later.
    """

    max_messages: int | None = None
    max_bytes: int | None = None
    oldest_ns: int | None = None

    def exceeded(self, count: int, size: int) -> bool:
        """Whether so many messages and bytes are more than a limit allows."""
        return (self.max_messages is not None and count > self.max_messages) or (
            self.max_bytes is not None and size > self.max_bytes
        )


@dataclass(slots=True)
class Transaction:
    """What happens together, in the order of the attributes, or not at all.

    Attributes:
        inserts: new messages, whose numbers were never used before.
        deletes: ranges of numbers, both ends included; the attempts at them go, too.
        gone: names of groups whose records go.
        groups: records by name, new or changed.
        attempts: group, number, and how often it has been tried.
        settled: group and number of attempts to drop.
        dead: new dead letters; one that its group has had before takes its place.
        undead: group and number of dead letters to delete.
        trim: what to drop in the end.
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
    """What a transaction left behind.

    Attributes:
        count: messages in the store, dead letters not among them.
        size: their bytes and those of the dead letters: payload, headers and key.
        dead: how many dead letters there are.
        trimmed: numbers dropped for `max_messages` or `max_bytes`.
        expired: numbers dropped for `oldest_ns`.
    """

    count: int
    size: int
    dead: int
    trimmed: list[int]
    expired: list[int]


@dataclass(frozen=True, slots=True)
class OpenedStore:
    """What a store held when it was opened.

    Attributes:
        stream_id: 8 bytes that stay the same as long as the store is there.
        last_seq: the highest number that was ever used in it.
        count: messages.
        size: bytes, as in `CommitOutcome`.
        dead: dead letters.
        groups: all groups, the forgotten ones included.
        attempts: how often a group and number has been tried, if more than once.
        corrupt: how many rows lie aside because they were damaged.
        topic: of the stream; empty if the store does not know it.
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
    """Which dead letters are asked for: those that fit all of this, by number and group.

    Attributes:
        group: only this group's.
        key: only with exactly this key.
        after: only those after this number and group: the last ones of the page before.
        limit: how many at most.
        ids: only these groups and numbers.
        max_bytes: of payloads, at most; the first letter comes in any case.
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
    """Keeps the messages of one stream.

    After `open`, it is used on the loop's thread only. What it is given is done one after the other.

    Attributes:
        on_corrupt: called with the numbers of messages that turned out to be damaged when they were
            read; they have been put aside, and will not come again.
    """

    on_corrupt: Callable[[list[int]], None] | None

    def open(self) -> OpenedStore:
        """Open it, on any thread, before or while the loop runs.

        Raises:
            StoreError: if that is not possible, or would lose something.
        """

    def commit(self, transaction: Transaction, done: Committed) -> None:
        """Do a transaction, which must not be changed any more.

        Args:
            transaction: what to do.
            done: called when it is stored as safely as the store does; or with the reason why nothing of
                it is.
        """

    def read(self, after: int, limit: int, max_bytes: int, done: Read) -> None:
        """Read messages in the order of their numbers.

        Args:
            after: the number before the first one wanted.
            limit: how many at most.
            max_bytes: of payload, at most; the first one comes in any case.
            done: called with them.
        """

    def get(self, seqs: list[int], done: Read) -> None:
        """Read some messages; those that are not there are left out.

        Args:
            seqs: their numbers.
            done: called with them, in the order of the numbers.
        """

    def dead_letters(self, query: DeadQuery, done: ReadDead) -> None:
        """Read dead letters.

        Args:
            query: which.
            done: called with them.
        """

    async def aclose(self) -> None:
        """Finish what was given, and close; more than once is fine."""

    def close(self) -> None:
        """The same without a loop; it blocks."""


def size_of(message: StreamMessage) -> int:
    """How many bytes it counts for: payload, headers and key."""
    return len(message.payload) + len(message.headers) + len(message.key.encode())


def size_of_all(messages: list[StreamMessage]) -> int:
    """The same of several messages together."""
    keys = "".join(map(_key, messages))
    size = sum(map(len, map(_payload, messages))) + sum(map(len, map(_headers, messages)))
    return size + len(keys.encode())
