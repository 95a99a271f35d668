"""The transition table of a message in one consumer group.

```
          | READY        | IN_FLIGHT     | PAUSED
----------|--------------|---------------|-------------
 DELIVER  | IN_FLIGHT    |               |
 ACK      | ACKNOWLEDGED | ACKNOWLEDGED  | ACKNOWLEDGED
 NACK     |              | PAUSED, DEAD  |
 REJECT   |              | DEAD          |
 RETURN   |              | READY         |
 LOST     |              | READY, DEAD   |
 TIMEOUT  |              | READY, DEAD   |
 DUE      |              |               | READY
 DISCARD  | DISCARDED    | DISCARDED     | DISCARDED
```

A failure (NACK, LOST, TIMEOUT) of the last attempt leads to DEAD. An empty cell marks an event that does not
apply: the message keeps its state. A late acknowledgement, of a message that waits for redelivery, counts; an
acknowledgement of a message that was never delivered does not.
"""

from enum import IntEnum


class DeliveryState(IntEnum):
    """The state of a message in a consumer group."""

    READY = 0
    """Waiting for a member, for the first time or again."""
    IN_FLIGHT = 1
    """Delivered to a member and not settled."""
    PAUSED = 2
    """Waiting for its retry delay to pass."""
    ACKNOWLEDGED = 3
    """Handled by a member; final."""
    DEAD = 4
    """Out of attempts or rejected, a dead letter; final."""
    DISCARDED = 5
    """No longer kept for the group: dropped, expired, or handled by another group; final."""


class DeliveryEvent(IntEnum):
    """An event in the life of a message."""

    DELIVER = 0
    ACK = 1
    NACK = 2
    RETURN = 3
    """The member has returned it unstarted: the attempt does not count."""
    LOST = 4
    """The member has left or its connection is lost."""
    TIMEOUT = 5
    """The member has neither settled it nor extended its deadline in time."""
    DUE = 6
    """Its retry delay has passed."""
    DISCARD = 7
    REJECT = 8
    """The member says that no further attempt can succeed."""


FINAL = frozenset({DeliveryState.ACKNOWLEDGED, DeliveryState.DEAD, DeliveryState.DISCARDED})

TRANSITIONS = {
    (DeliveryState.READY, DeliveryEvent.DELIVER): DeliveryState.IN_FLIGHT,
    (DeliveryState.READY, DeliveryEvent.ACK): DeliveryState.ACKNOWLEDGED,
    (DeliveryState.READY, DeliveryEvent.DISCARD): DeliveryState.DISCARDED,
    (DeliveryState.IN_FLIGHT, DeliveryEvent.ACK): DeliveryState.ACKNOWLEDGED,
    (DeliveryState.IN_FLIGHT, DeliveryEvent.NACK): DeliveryState.PAUSED,
    (DeliveryState.IN_FLIGHT, DeliveryEvent.REJECT): DeliveryState.DEAD,
    (DeliveryState.IN_FLIGHT, DeliveryEvent.RETURN): DeliveryState.READY,
    (DeliveryState.IN_FLIGHT, DeliveryEvent.LOST): DeliveryState.READY,
    (DeliveryState.IN_FLIGHT, DeliveryEvent.TIMEOUT): DeliveryState.READY,
    (DeliveryState.IN_FLIGHT, DeliveryEvent.DISCARD): DeliveryState.DISCARDED,
    (DeliveryState.PAUSED, DeliveryEvent.DUE): DeliveryState.READY,
    (DeliveryState.PAUSED, DeliveryEvent.ACK): DeliveryState.ACKNOWLEDGED,
    (DeliveryState.PAUSED, DeliveryEvent.DISCARD): DeliveryState.DISCARDED,
}
FAILURES = frozenset({DeliveryEvent.NACK, DeliveryEvent.LOST, DeliveryEvent.TIMEOUT})
"""The events that turn a message without attempts left into a dead letter."""


def next_state(
    state: DeliveryState, event: DeliveryEvent, *, delivered: bool = True, exhausted: bool = False
) -> DeliveryState | None:
    """Return the state after an event, or None if the event does not apply.

    A message that cannot have been delivered is not acknowledged; one that is exhausted had its last attempt.
    """
    then = TRANSITIONS.get((state, event))
    if then is None or (event is DeliveryEvent.ACK and not delivered):
        return None
    return DeliveryState.DEAD if exhausted and event in FAILURES else then
