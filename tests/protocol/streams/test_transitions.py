"""The transition table of a message in a consumer group."""

from itertools import product

import pytest

from colugo.protocol.streams import transitions
from colugo.protocol.streams.transitions import (
    FAILURES,
    FINAL,
    TRANSITIONS,
    DeliveryEvent,
    DeliveryState,
    next_state,
)

PAIRS = list(product(DeliveryState, DeliveryEvent))


def described() -> dict[tuple[DeliveryState, DeliveryEvent], set[DeliveryState]]:
    """Parse the table in the module's docstring."""
    assert transitions.__doc__ is not None
    head, _, *rows = transitions.__doc__.split("```")[1].strip("\n").splitlines()
    states = [DeliveryState[name.strip()] for name in head.split("|")[1:]]
    found = {}
    for row in rows:
        event, *cells = (cell.strip() for cell in row.split("|"))
        for state, cell in zip(states, cells, strict=True):
            found[state, DeliveryEvent[event]] = {
                DeliveryState[name.strip()] for name in cell.split(",") if name.strip()
            }
    return found


def reachable(state: DeliveryState, event: DeliveryEvent) -> set[DeliveryState]:
    """Return the states after an event, with attempts left and without."""
    ends = (next_state(state, event, exhausted=exhausted) for exhausted in (False, True))
    return {end for end in ends if end is not None}


@pytest.mark.parametrize(("state", "event"), PAIRS)
def test_each_pair_of_state_and_event_is_listed_or_refused(
    state: DeliveryState, event: DeliveryEvent
) -> None:
    listed = TRANSITIONS.get((state, event))
    for exhausted in (False, True):
        then = next_state(state, event, exhausted=exhausted)
        if listed is None:
            assert then is None
        elif exhausted and event in FAILURES:
            assert then is DeliveryState.DEAD
        else:
            assert then is listed


def test_the_table_in_the_docstring_is_the_one_in_the_code() -> None:
    table = described()
    for state, event in PAIRS:
        assert table.get((state, event), set()) == reachable(state, event), (state, event)


@pytest.mark.parametrize("state", sorted(FINAL))
def test_nothing_happens_to_a_message_that_is_finished(state: DeliveryState) -> None:
    assert not any(reachable(state, event) for event in DeliveryEvent)


@pytest.mark.parametrize("state", sorted(set(DeliveryState) - FINAL))
def test_every_other_message_can_be_acknowledged_or_discarded_once_it_was_handed_out(
    state: DeliveryState,
) -> None:
    assert next_state(state, DeliveryEvent.ACK) is DeliveryState.ACKNOWLEDGED
    assert next_state(state, DeliveryEvent.DISCARD) is DeliveryState.DISCARDED


def test_what_was_never_handed_out_cannot_be_acknowledged() -> None:
    assert next_state(DeliveryState.READY, DeliveryEvent.ACK, delivered=False) is None
    assert next_state(DeliveryState.READY, DeliveryEvent.DELIVER, delivered=False) is DeliveryState.IN_FLIGHT


def test_only_a_failure_of_the_last_try_or_a_rejection_makes_a_dead_letter() -> None:
    deadly = {
        (state, event)
        for state, event in PAIRS
        if next_state(state, event, exhausted=True) is DeliveryState.DEAD
    }
    assert deadly == {(DeliveryState.IN_FLIGHT, event) for event in (*FAILURES, DeliveryEvent.REJECT)}
    assert [pair for pair in PAIRS if next_state(*pair) is DeliveryState.DEAD] == [
        (DeliveryState.IN_FLIGHT, DeliveryEvent.REJECT)
    ]


def test_every_state_can_be_reached_and_every_event_does_something() -> None:
    ends = {end for state, event in PAIRS for end in reachable(state, event)}
    assert ends == set(DeliveryState)
    assert {event for _, event in TRANSITIONS} == set(DeliveryEvent)
