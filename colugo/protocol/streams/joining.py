"""The control frames, in JSON, by which a consumer joins a group at a stream."""

from typing import Annotated, Literal

import msgspec

from colugo.protocol.streams.bindings import Bindings
from colugo.protocol.streams.message_parts import check_group
from colugo.protocol.topics import MAX_TOPIC_BYTES

MAX_PREFETCH = 65535
MAX_ACK_TIMEOUT_MS = 2**53 - 1
"""The largest number that every JSON decoder reads exactly (RFC 8259 §6)."""
_Id = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{16}\Z")]
_Number = Annotated[int, msgspec.Meta(ge=1)]
_Text = Annotated[str, msgspec.Meta(max_length=256)]

StreamOrder = Literal["key", "none"]


class Join(msgspec.Struct, frozen=True, omit_defaults=True):
    """The request that a consumer sends after each connection, to join a group.

    Attributes:
        consumer: its id, 16 hexadecimal digits, new for each consumer object.
        group: the group's name; if the program gave none, a unique one, and `named` is false.
        durable: whether the stream remembers the group while it has no members.
        bindings: patterns of keys; the group gets messages that one of them matches.
        prefetch: the most messages that the consumer has in flight, 1 to 65,535; 0 to get none until it joins
            again with more.
        node: the name of its node, for people.
        begun: when a member joins again to change the group's bindings or its prefetch, the numbers of the
            messages that it has started. It discards other messages until the answer comes, and the stream
            takes them back.
    """

    consumer: _Id
    group: str
    named: bool
    durable: bool
    bindings: list[str]
    prefetch: Annotated[int, msgspec.Meta(ge=0, le=MAX_PREFETCH)]
    node: _Text
    begun: Annotated[list[_Number], msgspec.Meta(max_length=MAX_PREFETCH)] = []

    def __post_init__(self) -> None:
        check_group(self.group)
        Bindings(self.bindings)


class Joined(msgspec.Struct, frozen=True, omit_defaults=True):
    """The stream's answer to a consumer that it admits; otherwise it sends a `Refusal`.

    Attributes:
        stream: its id, 16 hexadecimal digits, kept in the store and thus the same after a restart.
        ack_timeout_ms: milliseconds after which a message fails that is neither settled nor extended.
        run: 16 hexadecimal digits, new each time the stream starts.
        last: the highest message number at the start of this run. If a consumer has had higher numbers from
            an earlier run, the stream has lost those messages (in a power failure, or because its file comes
            from a backup) and uses their numbers again.
        admitted: the number of consumers admitted in this run, this one included. If a stream has answered
            several connections of one consumer, the answer with the highest number counts.
        order: `none` if the consumer may handle messages of one key at the same time, in any order.
    """

    stream: _Id
    ack_timeout_ms: Annotated[int, msgspec.Meta(ge=1, le=MAX_ACK_TIMEOUT_MS)]
    topic: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_TOPIC_BYTES)]
    run: _Id | None = None
    last: Annotated[int, msgspec.Meta(ge=0)] | None = None
    admitted: Annotated[int, msgspec.Meta(ge=0)] = 0
    order: StreamOrder = "key"
