"""What a stream has done, and what waits in it for which group."""

from dataclasses import dataclass

from colugo.patterns.streams.delivery_scheduler import DeliveryScheduler
from colugo.patterns.streams.group import StreamGroup


@dataclass(frozen=True, slots=True)
class GroupStats:
    """What a stream knows of a consumer group.

    Attributes:
        name: of the group.
        durable: whether messages are kept for it when it has no members.
        members: how many consumers it has now.
        in_flight: messages that they have now.
        waiting: messages that wait for it; among them are those that it has not looked at yet, though it
            may have no binding for their keys.
        done: how many messages it is done with, those included that are not for it.
        acknowledged: messages that its members have acknowledged, since the stream was made.
        delivered: messages that were handed to its members, each time counted.
        redelivered: of those, second and later times.
        dead: messages that have become dead letters.
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
    """What a stream has done since it was made, and what it keeps now.

    Attributes:
        sent: messages that were taken.
        messages: how many are kept now.
        bytes: of their payloads, keys and headers, those of dead letters included.
        dead: dead letters that are kept now.
        rejected: messages that were refused because the stream was full.
        dropped: messages that were dropped to make room (`full="drop-oldest"`).
        expired: messages that were dropped because of their age.
        unrouted: messages that left because no known group had a binding for their key.
        malformed: frames that were not understood.
        unknown: acknowledgements of messages that the consumer's group did not have: twice, or too late.
        consumers: how many are connected.
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
    """What a stream knows of a group.

    Args:
        group: one of the scheduler's.
        scheduler: the stream's.
    """
    queue = group.queue
    # what was let go before the group was known is not among what it is done with, nor among what is kept
    left = min(scheduler.intake.count, scheduler.journal.committed - group.done.count)
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
