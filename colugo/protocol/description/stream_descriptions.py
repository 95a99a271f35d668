"""What streams and their consumers say of themselves, as in a `NodeDescription`. Pure."""

import msgspec

from colugo.protocol.description.socket_descriptions import LinkDescription


class GroupDescription(msgspec.Struct):
    """A group of consumers, as a stream sees it.

    Attributes:
        name: its name.
        durable: whether messages are kept for it while it has no member.
        members: consumers of it that are connected now.
        waiting: messages that wait for it; those in flight are not among them.
        in_flight: messages that its members have, and have not acknowledged.
        acknowledged: messages that it has acknowledged since the stream was made.
    """

    name: str
    durable: bool = True
    members: int = 0
    waiting: int = 0
    in_flight: int = 0
    acknowledged: int = 0


class StreamDescription(msgspec.Struct):
    """A stream.

    Attributes:
        topic: its topic.
        socket_id: its id, as in its advertisement.
        codec: the codec's full name.
        endpoints: where it is bound.
        stream_id: what the ids of its messages begin with; it stays as long as its store is there.
        store: path of its file; empty if it keeps messages in memory only.
        ack: `all` or `any`: whose acknowledgement lets a message go.
        messages: messages that it keeps now.
        bytes: of their keys, headers and payloads.
        dead: dead letters that it keeps now.
        groups: those that it knows.
        sent: messages taken in since it was made.
        delivered: messages handed to a consumer, each time counted.
        redelivered: of those, how many not for the first time.
        acknowledged: acknowledgements of consumers.
        dead_lettered: messages that have become dead letters since it was made.
        dropped: messages let go because it was full.
        expired: messages let go because of their age.
        rejected: messages not taken in because it was full.
        malformed: frames that were not of the wire format.
    """

    topic: str
    socket_id: str
    codec: str = "plain"
    endpoints: list[str] = []
    stream_id: str = ""
    store: str = ""
    ack: str = "all"
    messages: int = 0
    bytes: int = 0
    dead: int = 0
    groups: list[GroupDescription] = []
    sent: int = 0
    delivered: int = 0
    redelivered: int = 0
    acknowledged: int = 0
    dead_lettered: int = 0
    dropped: int = 0
    expired: int = 0
    rejected: int = 0
    malformed: int = 0

    @property
    def members(self) -> int:
        """Consumers that are connected now."""
        return sum(group.members for group in self.groups)


class ConsumerDescription(msgspec.Struct):
    """A consumer.

    Attributes:
        topic: its topic.
        group: the group that it is a member of.
        bindings: patterns of the keys that the group gets.
        prefetch: messages that it may have at a time without having acknowledged them.
        codec: the codec's full name.
        received: messages handed to its callback, each time counted.
        acknowledged: of those, how many were acknowledged.
        redelivered: messages that may have been handed to a callback before.
        duplicates: messages that it has had before, and so has not handed on.
        failed: messages whose callback raised, or that were sent back.
        undecodable: messages that did not fit the codec.
        malformed: frames that were not of the wire format.
        links: its connections.
    """

    topic: str
    group: str = ""
    bindings: list[str] = []
    prefetch: int = 0
    codec: str = "plain"
    received: int = 0
    acknowledged: int = 0
    redelivered: int = 0
    duplicates: int = 0
    failed: int = 0
    undecodable: int = 0
    malformed: int = 0
    links: list[LinkDescription] = []
