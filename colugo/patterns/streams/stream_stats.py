"""The counters of a stream and of its consumer groups."""

from dataclasses import dataclass

from colugo.patterns.streams.delivery_scheduler import DeliveryScheduler
from colugo.patterns.streams.group import StreamGroup


@dataclass(frozen=True, slots=True)
class GroupStats:
    """The state and the counters of a consumer group at a stream.

    Attributes:
        name: of the group.
        durable: True if messages are kept for it while it has no members.
        members: connected consumers.
        in_flight: messages that have been delivered and not settled.
        waiting: messages that wait for it, including those not yet matched with its bindings.
        done: messages that it is done with, including those that do not match its bindings.
        acknowledged: messages that its members have acknowledged, since the stream was made.
        delivered: deliveries to its members, since the stream was made.
        redelivered: those of them that were redeliveries.
        dead: messages that have become dead letters, since the stream was made.
    """

    name: str
    durable: bool
    members: int
    in_flight: int
    waiting: int
    done: int
    acknowledged: int
    delivered: int
    redelivered: int
    dead: int


@dataclass(frozen=True, slots=True)
class StreamStats:
    """The counters of a stream since it was made, and its sizes now.

    Attributes:
        sent: messages accepted.
        messages: messages kept now, without dead letters.
        bytes: their payloads, keys and headers, dead letters included.
        dead: dead letters kept now.
        rejected: messages rejected because the stream was full.
        dropped: messages dropped to make room (`full="drop-oldest"`).
        expired: messages dropped because of `max_age_ms`.
        unrouted: messages deleted or returned because no known group had a binding for their key.
        malformed: frames that could not be decoded or had no place.
        unknown: acknowledgements of messages that the group did not have in flight: repeated, or too late.
        consumers: connected consumers.
    """

    sent: int
    messages: int
    bytes: int
    dead: int
    rejected: int
    dropped: int
    expired: int
    unrouted: int
    malformed: int
    unknown: int
    consumers: int


def group_stats(group: StreamGroup, scheduler: DeliveryScheduler) -> GroupStats:
    """Return the state and the counters of a group."""
    queue = group.queue
    # messages deleted before the group existed are neither done nor kept
    left = min(scheduler.intake.count, scheduler.writer.committed - group.done.count)
    return GroupStats(
        name=group.name,
        durable=group.durable,
        members=len(queue.members),
        in_flight=queue.in_flight,
        waiting=max(0, left - queue.in_flight),
        done=group.done.count,
        acknowledged=group.acknowledged,
        delivered=group.delivered,
        redelivered=group.redelivered,
        dead=group.dead,
    )
