"""What becomes of a message in one consumer group: a transition table.

```
          | READY        | IN_FLIGHT     | PAUSED
----------|--------------|---------------|-------------
 DELIVER  | IN_FLIGHT    |               |
 ACK      | ACKNOWLEDGED | ACKNOWLEDGED  | ACKNOWLEDGED
 NACK     |              | PAUSED, DEAD  |
 RETURN   |              | READY         |
 LOST     |              | READY, DEAD   |
 TIMEOUT  |              | READY, DEAD   |
 DUE      |              |               | READY
 RELEASE  | RELEASED     | RELEASED      | RELEASED
```

A failure (nack, lost, timeout) of the last try leads to DEAD. Where nothing stands, the event does not fit,
and the message stays as it is. An acknowledgement that comes late, while the message waits to be handed out
again, counts; one of what was never handed out does not.
"""

from enum import IntEnum


class DeliveryState(IntEnum):
    """Where a message is."""

    READY = 0
    """It waits for a member, for the first time or again."""
    IN_FLIGHT = 1
    """A member has it."""
    PAUSED = 2
    """It is to be redelivered when its pause is over."""
    ACKNOWLEDGED = 3
    """A member has handled it; final."""
    DEAD = 4
    """Its tries are used up: it is a dead letter; final."""
    RELEASED = 5
    """The stream no longer keeps it for the group: dropped, expired, or handled by another one; final."""


class DeliveryEvent(IntEnum):
    """What happens to it."""

    DELIVER = 0
    ACK = 1
    NACK = 2
    RETURN = 3
    """The member has not begun with it: the try does not count."""
    LOST = 4
    """The member is gone."""
    TIMEOUT = 5
    """The member has said nothing of it for too long."""
    DUE = 6
    """Its pause is over."""
    RELEASE = 7


FINAL = frozenset({DeliveryState.ACKNOWLEDGED, DeliveryState.DEAD, DeliveryState.RELEASED})

TRANSITIONS = {
    (DeliveryState.READY, DeliveryEvent.DELIVER): DeliveryState.IN_FLIGHT,
    (DeliveryState.READY, DeliveryEvent.ACK): DeliveryState.ACKNOWLEDGED,
    (DeliveryState.READY, DeliveryEvent.RELEASE): DeliveryState.RELEASED,
    (DeliveryState.IN_FLIGHT, DeliveryEvent.ACK): DeliveryState.ACKNOWLEDGED,
    (DeliveryState.IN_FLIGHT, DeliveryEvent.NACK): DeliveryState.PAUSED,
    (DeliveryState.IN_FLIGHT, DeliveryEvent.RETURN): DeliveryState.READY,
    (DeliveryState.IN_FLIGHT, DeliveryEvent.LOST): DeliveryState.READY,
    (DeliveryState.IN_FLIGHT, DeliveryEvent.TIMEOUT): DeliveryState.READY,
    (DeliveryState.IN_FLIGHT, DeliveryEvent.RELEASE): DeliveryState.RELEASED,
    (DeliveryState.PAUSED, DeliveryEvent.DUE): DeliveryState.READY,
    (DeliveryState.PAUSED, DeliveryEvent.ACK): DeliveryState.ACKNOWLEDGED,
    (DeliveryState.PAUSED, DeliveryEvent.RELEASE): DeliveryState.RELEASED,
}
FAILURES = frozenset({DeliveryEvent.NACK, DeliveryEvent.LOST, DeliveryEvent.TIMEOUT})
"""What makes a dead letter of a message whose tries are used up."""


def next_state(
    state: DeliveryState, event: DeliveryEvent, *, handed_out: bool = True, exhausted: bool = False
) -> DeliveryState | None:
    """The state after an event; None if the event does not fit.

    Args:
        state: the state before.
        event: what happens.
        handed_out: whether it may have been handed out; one that never was cannot be acknowledged.
        exhausted: whether this was its last try.
    """
    then = TRANSITIONS.get((state, event))
    if then is None or (event is DeliveryEvent.ACK and not handed_out):
        return None
    return DeliveryState.DEAD if exhausted and event in FAILURES else then
