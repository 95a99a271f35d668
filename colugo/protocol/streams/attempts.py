"""Who of a consumer group has which message, and until when."""

from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

from colugo.protocol.streams.stream_message import StreamMessage
from colugo.protocol.streams.transitions import DeliveryState

# members of an enum are slow to get, and this one is needed for each message
_READY = DeliveryState.READY


@dataclass(frozen=True, slots=True)
class DeliveryRules:
    """How often, and how fast, messages are handed out.

    Attributes:
        max_deliver: how many tries a message has.
        ack_timeout_s: seconds until a try of which nothing is heard has failed.
        retry_delay_s: seconds between a nack and the next try; doubled for each further one.
        most_delay_s: where the doubling ends.
    """

    max_deliver: int = 2
    ack_timeout_s: float = 30.0
    retry_delay_s: float = 1.0
    most_delay_s: float = 60.0

    def delay_s(self, attempt: int) -> float:
        """How long to wait after a try that was the nth."""
        return min(self.retry_delay_s * 2.0 ** min(attempt - 1, 64), self.most_delay_s)


@dataclass(eq=False, slots=True)
class KeyLine:
    """Messages of one key, of which a member has some: the others go to the same one, after them.

    Attributes:
        key: of all of them.
        member: who has some, or had the last one.
        in_flight: how many it has.
        suspects: how many are suspect and wait; none of the others is handed out before them.
        waiting: the others, in their order.
    """

    key: str
    member: "GroupMember | None" = None
    in_flight: int = 0
    suspects: int = 0
    waiting: deque["QueuedMessage"] = field(default_factory=deque)


@dataclass(eq=False, slots=True)
class GroupMember:
    """A consumer of the group.

    Attributes:
        identity: of its connection.
        prefetch: how many messages it may have at a time.
        in_flight: how many it has.
        silent: whether it has let a message time out, and said nothing since: it gets no more.
        leaving: whether it has returned something: it is about to leave, and gets no more.
        blocked: lines of keys that wait until it has room.
    """

    identity: bytes
    prefetch: int
    in_flight: int = 0
    silent: bool = False
    leaving: bool = False
    blocked: dict[KeyLine, None] = field(default_factory=dict)

    @property
    def room(self) -> int:
        """How many messages it can be given now."""
        return self.prefetch - self.in_flight if self.able else 0

    @property
    def able(self) -> bool:
        """Whether it can be given messages, if it has room."""
        return not (self.silent or self.leaving)


class QueuedMessage:
    """A message in the group.

    Attributes:
        message: the message.
        state: where it is.
        attempt: how often it has been handed out, this time included.
        redelivered: whether it may have been handed out before.
        suspect: whether a member was lost or silent with it, so that the next one gets nothing else with it.
        member: who has it, or had it last.
        deadline: when the try has failed, seconds.
    """

    __slots__ = ("attempt", "deadline", "member", "message", "redelivered", "state", "suspect")

    def __init__(self, message: StreamMessage, tries: int = 0, *, redelivered: bool = False) -> None:
        self.message = message
        self.state: DeliveryState = _READY
        self.attempt = tries
        self.redelivered = redelivered
        self.suspect = False
        self.member: GroupMember | None = None
        self.deadline = 0.0


def number_of(entry: QueuedMessage) -> int:
    """By it messages are ordered."""
    return entry.message.seq


class ExhaustedMessage(NamedTuple):
    """A message whose tries are used up.

    Attributes:
        entry: it.
        reason: why the last one failed.
        traceback: of the callback's exception; empty if there was none.
    """

    entry: QueuedMessage
    reason: str
    traceback: str = ""
