"""The descriptions of streams and consumers, as in a `NodeDescription`. Pure."""

import msgspec

from colugo.protocol.description.socket_descriptions import (
    BoundDescription,
    ConnectingDescription,
    StatsDescription,
)


class GroupDescription(StatsDescription):
    """A consumer group, as a stream sees it.

    Attributes:
        name: its name.
        durable: whether messages are kept for it while it has no member.
        members: consumers of it that are connected now.
        waiting: messages that wait for it; those in flight are not among them.
        in_flight: messages that its members have, and have not acknowledged.
        done: messages that it is done with, those included that are not for it.
        acknowledged: messages that it has acknowledged since the stream was made.
        delivered: messages delivered to its members, each delivery counted.
        redelivered: of those, how many not for the first time.
        dead: messages that have become dead letters.
    """

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
    """A stream.

    Attributes:
        stream_id: the beginning of its messages' ids; it stays as long as the store is there.
        store: path of its file; empty if it keeps messages in memory only.
        ack: `all` or `any`: the groups that must acknowledge a message before it is let go.
        messages: messages that it keeps now.
        bytes: of their keys, headers and payloads.
        dead: dead letters that it keeps now.
        groups: those that it knows.
        sent: messages taken in since it was made.
        delivered: messages delivered to a consumer, each delivery counted.
        redelivered: of those, how many not for the first time.
        acknowledged: acknowledgements of consumers.
        dead_lettered: messages that have become dead letters since it was made.
        dropped: messages let go because it was full.
        expired: messages let go because of their age.
        rejected: messages not taken in because it was full.
        unrouted: messages let go because no known group had a binding for their key.
        malformed: frames that were not of the wire format.
        unknown: acknowledgements of messages that the consumer's group did not have: twice, or too late.
        consumers: consumers that are connected now.
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
    """A consumer.

    Attributes:
        group: the group that it is a member of.
        bindings: patterns of the keys that the group gets.
        prefetch: messages that it may have at a time without having acknowledged them.
        received: messages passed to its callback, each time counted.
        acknowledged: of those, how many were acknowledged.
        redelivered: messages that may have been passed to a callback before.
        duplicates: messages that it has had before, and so has not passed to its callback.
        failed: messages whose callback raised, or that were sent back.
        undecodable: messages that did not fit the codec.
        waiting: messages that have arrived, and that the callback has not begun with.
        streams: streams that are connected now.
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
