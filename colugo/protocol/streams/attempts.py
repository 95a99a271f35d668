"""The messages and members of a consumer group, and the rules of delivery."""

from collections import deque
from dataclasses import dataclass, field
from operator import attrgetter
from typing import NamedTuple

from colugo.protocol.streams.stream_message import StreamMessage
from colugo.protocol.streams.transitions import DeliveryState

# an enum's member is slow to look up, and each message needs this one
_READY = DeliveryState.READY

by_seq = attrgetter("message.seq")
"""The sort key of `QueuedMessage`s."""


@dataclass(frozen=True, slots=True)
class DeliveryRules:
    """The order, limits and delays of delivery.

    Attributes:
        max_deliver: the number of attempts that a message has.
        ack_timeout_s: seconds until an attempt fails that is neither settled nor extended.
        retry_delay_s: seconds between a nack and the next attempt; doubled for each further one.
        most_delay_s: the upper bound of the doubled delay, seconds.
        ordered: whether messages of one key keep their order; if not, keys only select groups.
    """

    max_deliver: int = 2
    ack_timeout_s: float = 30.0
    retry_delay_s: float = 1.0
    most_delay_s: float = 60.0
    ordered: bool = True

    def delay_s(self, attempt: int) -> float:
        """Return the backoff in seconds after an attempt, counted from 1."""
        return min(self.retry_delay_s * 2.0 ** min(attempt - 1, 64), self.most_delay_s)


@dataclass(eq=False, slots=True)
class KeyQueue:
    """The messages of one key that wait, while one member has earlier messages of the key in flight.

    Attributes:
        member: the member that has messages of the key in flight, or had the last one.
        orphaned: the number of orphaned messages of the key that wait; they precede the others.
        waiting: the other waiting messages, in order.
    """

    key: str
    member: "GroupMember | None" = None
    in_flight: int = 0
    orphaned: int = 0
    waiting: deque["QueuedMessage"] = field(default_factory=deque)


@dataclass(eq=False, slots=True)
class GroupMember:
    """A consumer in the group.

    Attributes:
        identity: the routing id of its connection.
        prefetch: the most messages that it may have in flight; 0 if it takes none yet.
        silent: whether it has let a delivery time out and sent nothing since; it gets no more messages.
        leaving: whether it has returned messages because it is about to leave; it gets no more messages.
        blocked: queues of keys that wait for its credit.
    """

    identity: bytes
    prefetch: int
    in_flight: int = 0
    silent: bool = False
    leaving: bool = False
    blocked: dict[KeyQueue, None] = field(default_factory=dict)

    @property
    def credit(self) -> int:
        """The number of messages that it can take now."""
        return self.prefetch - self.in_flight if self.available else 0

    @property
    def available(self) -> bool:
        """True unless it is silent or leaving, or takes no messages yet."""
        return self.prefetch > 0 and not (self.silent or self.leaving)


class QueuedMessage:
    """A message in the group's queue.

    Attributes:
        attempt: the number of deliveries so far, the current one included.
        redelivered: whether a consumer may have had it before.
        orphaned: whether a member was lost or silent while it had the message, so that the next member
            gets it alone.
        member: the member that has it in flight, or had it last.
        deadline: the time at which the current attempt fails, seconds.
    """

    __slots__ = ("attempt", "deadline", "member", "message", "orphaned", "redelivered", "state")

    def __init__(self, message: StreamMessage, attempts: int = 0, *, redelivered: bool = False) -> None:
        self.message = message
        self.state: DeliveryState = _READY
        self.attempt = attempts
        self.redelivered = redelivered
        self.orphaned = False
        self.member: GroupMember | None = None
        self.deadline = 0.0


class ExhaustedMessage(NamedTuple):
    """A message without attempts left, or rejected, that is about to become a dead letter.

    The reason is why its last attempt failed; the traceback is empty if the callback raised nothing.
    """

    queued: QueuedMessage
    reason: str
    traceback: str = ""
