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


class State(IntEnum):
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


class Event(IntEnum):
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


FINAL = frozenset({State.ACKNOWLEDGED, State.DEAD, State.RELEASED})

TRANSITIONS = {
    (State.READY, Event.DELIVER): State.IN_FLIGHT,
    (State.READY, Event.ACK): State.ACKNOWLEDGED,
    (State.READY, Event.RELEASE): State.RELEASED,
    (State.IN_FLIGHT, Event.ACK): State.ACKNOWLEDGED,
    (State.IN_FLIGHT, Event.NACK): State.PAUSED,
    (State.IN_FLIGHT, Event.RETURN): State.READY,
    (State.IN_FLIGHT, Event.LOST): State.READY,
    (State.IN_FLIGHT, Event.TIMEOUT): State.READY,
    (State.IN_FLIGHT, Event.RELEASE): State.RELEASED,
    (State.PAUSED, Event.DUE): State.READY,
    (State.PAUSED, Event.ACK): State.ACKNOWLEDGED,
    (State.PAUSED, Event.RELEASE): State.RELEASED,
}
FAILURES = frozenset({Event.NACK, Event.LOST, Event.TIMEOUT})
"""What makes a dead letter of a message whose tries are used up."""


def next_state(
    state: State, event: Event, *, handed_out: bool = True, exhausted: bool = False
) -> State | None:
    """The state after an event; None if the event does not fit.

    Args:
        state: the state before.
        event: what happens.
        handed_out: whether it may have been handed out; one that never was cannot be acknowledged.
        exhausted: whether this was its last try.
    """
    then = TRANSITIONS.get((state, event))
    if then is None or (event is Event.ACK and not handed_out):
        return None
    return State.DEAD if exhausted and event in FAILURES else then
