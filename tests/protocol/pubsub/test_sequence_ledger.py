"""The counts of a reader: each sent message is received, lost or conflated, and none counts twice."""

from random import Random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import tests.support.strategies  # noqa: F401 - loads hypothesis' profile
from colugo.protocol.pubsub.sequence_ledger import SequenceLedger

fates = st.lists(
    st.tuples(
        st.integers(1, 50), st.sampled_from(["comes", "comes", "is lost", "comes twice", "comes late"])
    ),
    max_size=40,
)
"""Sizes of batches, and what becomes of them."""


def arrivals(fates: list[tuple[int, str]], first: int, random: Random) -> tuple[list[tuple[int, int]], int]:
    """The batches in the order in which they come, and the number of the message after them."""
    coming: list[tuple[float, int, int]] = []
    for at, (count, fate) in enumerate(fates):
        times = {
            "comes": [0.0],
            "is lost": [],
            "comes twice": [0.0, random.randint(0, 9)],
            "comes late": [9.5],
        }
        coming += [(at + delay, first, count) for delay in times[fate]]
        first += count
    return [(number, count) for _, number, count in sorted(coming)], first


@given(fates, st.integers(0, 2**40), st.randoms(use_true_random=False))
def test_after_a_last_beacon_what_was_sent_is_what_came_and_what_is_lost(
    fates: list[tuple[int, str]], start: int, random: Random
) -> None:
    ledger = SequenceLedger(start)
    came, end = arrivals(fates, start, random)
    taken: list[int] = []
    lost = duplicates = 0
    for first, count in came:
        newly_lost, skip = ledger.take(first, count)
        taken += range(first + skip, first + count)
        lost += newly_lost
        duplicates += skip
    newly_lost, skip = ledger.take(end, 0)
    assert skip == 0
    assert taken == sorted(set(taken))
    assert ledger.received == len(taken)
    assert ledger.duplicates == duplicates == sum(count for _, count in came) - len(taken)
    assert ledger.lost == lost + newly_lost == len(set(range(start, end)) - set(taken))
    assert (ledger.received + ledger.lost, ledger.conflated, ledger.expected) == (end - start, 0, end)


@given(fates, st.integers(0, 2**40))
def test_without_reordering_what_is_lost_is_just_what_was_dropped(
    fates: list[tuple[int, str]], start: int
) -> None:
    ledger = SequenceLedger(start)
    end = start
    for count, fate in fates:
        for _ in range({"is lost": 0, "comes twice": 2}.get(fate, 1)):
            ledger.take(end, count)
        end += count
    ledger.take(end, 0)
    assert ledger.lost == sum(count for count, fate in fates if fate == "is lost")
    assert ledger.duplicates == sum(count for count, fate in fates if fate == "comes twice")
    assert ledger.received == end - start - ledger.lost


@given(st.lists(st.tuples(st.integers(1, 9), st.booleans(), st.booleans()), max_size=40))
def test_gaps_before_conflated_messages_are_counted_apart(stream: list[tuple[int, bool, bool]]) -> None:
    ledger = SequenceLedger(0)
    number = lost = conflated = 0
    for gap, conflate, is_gap in stream:
        number += gap if is_gap else 0
        lost += gap if is_gap and not conflate else 0
        conflated += gap if is_gap and conflate else 0
        assert ledger.take(number, 1, conflate=conflate) == (gap if is_gap and not conflate else 0, 0)
        number += 1
    assert (ledger.lost, ledger.conflated, ledger.received) == (lost, conflated, len(stream))
    ledger.take(number + 3, 0, conflate=True)
    assert ledger.received + ledger.lost + ledger.conflated == ledger.expected == number + 3


@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 10), st.booleans())
@example(5, 5, 0, False)
@example(5, 3, 4, False)
def test_a_batch_continues_leaves_a_gap_or_repeats(
    expected: int,
    first: int,
    count: int,
    conflate: bool,  # noqa: FBT001 - given and example pass values by position
) -> None:
    ledger = SequenceLedger(expected)
    lost, skip = ledger.take(first, count, conflate=conflate)
    new = [number for number in range(first, first + count) if number >= expected]
    gap = max(0, first - expected)
    assert skip == count - len(new)
    assert lost == (0 if conflate else gap)
    assert ledger.expected == max(expected, first + count)
    assert (ledger.received, ledger.lost, ledger.duplicates) == (len(new), lost, skip)
    assert ledger.conflated == (gap if conflate else 0)


@pytest.mark.parametrize("times", [1, 2, 5])
def test_a_beacon_counts_what_is_lost_at_the_tail_once(times: int) -> None:
    ledger = SequenceLedger(10)
    ledger.take(10, 2)
    assert [ledger.take(15, 0) for _ in range(times)] == [(3, 0)] + [(0, 0)] * (times - 1)
    assert ledger.take(14, 0) == (0, 0)
    assert (ledger.received, ledger.lost, ledger.duplicates, ledger.expected) == (2, 3, 0, 15)


def test_what_was_given_up_and_comes_after_all_is_a_duplicate_and_stays_lost() -> None:
    ledger = SequenceLedger(0)
    assert ledger.take(5, 1) == (5, 0)
    assert ledger.take(3, 4) == (0, 3)
    assert (ledger.received, ledger.lost, ledger.duplicates, ledger.expected) == (2, 5, 3, 7)


def test_a_sum_has_the_counts_of_both() -> None:
    total, one = SequenceLedger(0), SequenceLedger(7)
    one.take(8, 2)
    one.take(8, 1)
    one.take(15, 1, conflate=True)
    total.add(one)
    total.add(one)
    assert (one.received, one.lost, one.conflated, one.duplicates) == (3, 1, 5, 1)
    assert (total.received, total.lost, total.conflated, total.duplicates) == (6, 2, 10, 2)
