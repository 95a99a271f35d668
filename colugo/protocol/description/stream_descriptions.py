"""The descriptions of streams and consumers, as in a `NodeDescription`. Pure."""

import msgspec

from colugo.protocol.description.socket_descriptions import (
    BoundDescription,
    ConnectingDescription,
    StatsDescription,
)


class GroupDescription(StatsDescription):
    """A consumer group, with all of its `GroupStats`."""

    name: str
    durable: bool = True
    members: int = 0
    waiting: int = 0
    in_flight: int = 0
    done: int = 0
    acknowledged: int = 0
    delivered: int = 0
    redelivered: int = 0
    dead: int = 0


class StreamDescription(BoundDescription):
    """A stream, with the counters of `StreamStats`, and the sums of those of its groups.

    Attributes:
        stream_id: the beginning of its messages' ids; it stays as long as the store is there.
        store: path of its file; empty if it keeps messages in memory only.
        ack: `all` or `any`: the groups that must acknowledge a message before it is let go.
    """

    tag = "streams"

    stream_id: str = ""
    store: str = ""
    ack: str = "all"
    messages: int = 0
    bytes: int = 0
    dead: int = 0
    groups: list[GroupDescription] = msgspec.field(default_factory=list)
    sent: int = 0
    delivered: int = 0
    redelivered: int = 0
    acknowledged: int = 0
    dead_lettered: int = 0
    dropped: int = 0
    expired: int = 0
    rejected: int = 0
    unrouted: int = 0
    malformed: int = 0
    unknown: int = 0
    consumers: int = 0

    @property
    def members(self) -> int:
        """Consumers that are connected now and belong to a group."""
        return sum(group.members for group in self.groups)


class ConsumerDescription(ConnectingDescription):
    """A consumer, with the counters of `ConsumerStats`.

    Attributes:
        bindings: patterns of the keys that the group gets.
        prefetch: messages that it may have at a time without having acknowledged them; 0 while it is paused.
    """

    tag = "consumers"

    group: str = ""
    bindings: list[str] = msgspec.field(default_factory=list)
    prefetch: int = 0
    received: int = 0
    acknowledged: int = 0
    redelivered: int = 0
    duplicates: int = 0
    failed: int = 0
    undecodable: int = 0
    waiting: int = 0
    streams: int = 0
