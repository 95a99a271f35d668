"""How a consumer joins a group at a stream: control frames in JSON."""

from typing import Annotated

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


class Join(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a consumer sends when it is connected, and again after each reconnection.

    Attributes:
        consumer: its id, 16 hexadecimal digits, new each time one is made.
        group: the group's name; of a consumer without one, a name that no other has.
        named: whether the program gave that name.
        durable: whether the stream is to remember the group when all its members are away.
        bindings: patterns of keys; the group gets what one of them matches.
        prefetch: how many messages the consumer takes before it has settled the first, 1 to 65,535.
        node: the name of its node, for people.
        begun: of a consumer that has joined, and joins again to bind the group to other keys: numbers of
            the messages that it is at work with. What else it is sent up to the answer it throws away, and
            the stream takes that back.

    Raises:
        ConfigurationError: if the group's name or a binding breaks the rules.
    """

    consumer: _Id
    group: str
    named: bool
    durable: bool
    bindings: list[str]
    prefetch: Annotated[int, msgspec.Meta(ge=1, le=MAX_PREFETCH)]
    node: _Text
    begun: Annotated[list[_Number], msgspec.Meta(max_length=MAX_PREFETCH)] = []

    def __post_init__(self) -> None:
        check_group(self.group)
        Bindings(self.bindings)


class Joined(msgspec.Struct, frozen=True, omit_defaults=True):
    """The stream's answer to a consumer that it has let in; else it sends a `Refusal`.

    Attributes:
        stream: its id, 16 hexadecimal digits: of the store, so the same after a restart.
        ack_timeout_ms: milliseconds after which a message that is neither settled nor said to be worked
            at is taken for failed.
        topic: of the stream.
        run: 16 hexadecimal digits, new each time the stream is started.
        last: the highest number that it had used when it was started. If the consumer has had higher ones
            from another run, the stream has forgotten these (a power failure, a file from a backup), and
            uses the numbers again.
        admitted: how often it has let a consumer in since then, this time included. If it has answered on
            several connections of one consumer, that with the highest number is the one that counts.
    """

    stream: _Id
    ack_timeout_ms: Annotated[int, msgspec.Meta(ge=1, le=MAX_ACK_TIMEOUT_MS)]
    topic: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_TOPIC_BYTES)]
    run: _Id | None = None
    last: Annotated[int, msgspec.Meta(ge=0)] | None = None
    admitted: Annotated[int, msgspec.Meta(ge=0)] = 0
