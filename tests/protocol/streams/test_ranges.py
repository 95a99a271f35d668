"""Sets of numbers as ranges, against Python's sets."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from colugo.errors import FrameError
from colugo.protocol.streams import ranges
from colugo.protocol.streams.ranges import MAX_NUMBER, Range, RangeSet, to_ranges
from tests.support.memory import peak_bytes
from tests.support.tracing import functions_of, lines_run

few_ranges = st.builds(lambda first, more: (first, first + more), st.integers(1, 60), st.integers(0, 7))
widths = st.sampled_from([1, 2, 3, 200, 300, 2**16, 2**17, 2**32, 2**40])


def numbers(some: list[Range]) -> set[int]:
    return {number for first, last in some for number in range(first, last + 1)}


def maximal(some: set[int]) -> list[Range]:
    """Find the ranges of a set number by number."""
    firsts = sorted(number for number in some if number - 1 not in some)
    lasts = sorted(number for number in some if number + 1 not in some)
    return list(zip(firsts, lasts, strict=True))


@given(st.lists(few_ranges))
@example([(5, 6), (1, 1), (2, 3), (4, 4)])
@example([(1, 1), (3, 3), (2, 2)])
@example([(1, 1), (5, 5), (2, 3), (7, 9), (1, 9)])
@example([(3, 3), (3, 3)])
def test_what_is_added_is_in_the_set_and_what_was_new_is_told(some: list[Range]) -> None:
    found = RangeSet()
    model: set[int] = set()
    for first, last in some:
        added = set(range(first, last + 1))
        assert found.add(first, last) == maximal(added - model)
        model |= added
        assert list(found) == maximal(model)
        assert found.count == len(model)
        assert found.last == max(model)
        assert found.floor == next(number for number in range(70) if number + 1 not in model)
    assert {number for number in range(80) if number in found} == model
    assert bool(found) is bool(some)
    assert found == RangeSet(maximal(model)) == RangeSet(reversed(some))


@given(st.lists(few_ranges), few_ranges)
def test_a_range_is_divided_into_what_is_in_the_set_and_what_is_not(some: list[Range], one: Range) -> None:
    found = RangeSet(some)
    wanted = numbers([one])
    assert found.overlap(*one) == maximal(wanted & numbers(some))
    assert found.gaps(*one) == maximal(wanted - numbers(some))
    assert found == RangeSet(some)


def test_an_empty_set_has_nothing() -> None:
    empty = RangeSet()
    assert (empty.floor, empty.last, empty.count, list(empty), bool(empty)) == (0, 0, 0, [], False)
    assert 0 not in empty
    assert 1 not in empty
    assert empty.overlap(1, MAX_NUMBER) == []
    assert empty.gaps(1, MAX_NUMBER) == [(1, MAX_NUMBER)]
    assert repr(RangeSet([(1, 2), (4, 4)])) == "RangeSet([(1, 2), (4, 4)])"
    assert empty != []


@pytest.mark.parametrize("bad", [(0, 3), (-1, 1), (3, 2), (1, MAX_NUMBER + 1)])
def test_what_is_no_range_of_numbers_from_1_on_is_refused(bad: Range) -> None:
    found = RangeSet([(7, 8)])
    with pytest.raises(ValueError, match=f"from {bad[0]} to {bad[1]} is not a range"):
        found.add(*bad)
    assert list(found) == [(7, 8)]


def test_ranges_of_any_width_take_no_more_than_narrow_ones() -> None:
    found = RangeSet([(10, 20), (30, 2**63)])
    assert peak_bytes(lambda: found.add(1, MAX_NUMBER)) < 2000
    assert list(found) == [(1, MAX_NUMBER)]
    assert found.floor == found.count == MAX_NUMBER


@pytest.mark.parametrize("added", [(1_000_000, 1_000_000), (3, 3), (2_999_998, 2_999_999)])
def test_adding_at_an_end_takes_no_more_steps_with_many_ranges(added: Range) -> None:
    """Beyond the last range, beside the last one, and beside the first one."""
    steps = set()
    for count in (10, 1000):
        found = RangeSet([(1, 2), *(((number * 10), number * 10 + 1) for number in range(1, count))])
        if added[0] > 2_000_000:
            found.add(2_999_990, 2_999_997)
        with lines_run(*functions_of(ranges)) as lines:
            assert found.add(*added) == [added]
        steps.add(lines.total())
    assert len(steps) == 1


# --- as bytes


@given(st.lists(st.tuples(widths, widths), max_size=30), st.integers(1, 2**62))
@example([], 1)
def test_a_set_comes_back_from_its_bytes(steps: list[tuple[int, int]], first: int) -> None:
    found = RangeSet()
    for gap, width in steps:
        found.add(first, first + width)
        first += width + gap + 1
    again = RangeSet.decode(found.encode())
    assert again == found
    assert again.count == found.count
    assert again.add(MAX_NUMBER, MAX_NUMBER) == [(MAX_NUMBER, MAX_NUMBER)]


@pytest.mark.parametrize(("distance", "each"), [(3, 1), (250, 1), (300, 2), (70_000, 4), (2**33, 8)])
def test_a_border_takes_as_many_bytes_as_the_largest_distance(distance: int, each: int) -> None:
    some = RangeSet((10**9 + number * distance, 10**9 + number * distance) for number in range(101))
    assert len(some.encode()) == 17 + 200 * each


def test_the_bytes_of_a_set_stay_as_they_are_stored() -> None:
    assert RangeSet().encode() == b""
    head = b"\x05" + bytes(7) + b"\x09" + bytes(7)
    assert RangeSet([(5, 9)]).encode() == b"\x01" + head
    assert RangeSet([(5, 9), (11, 11), (20, 25)]).encode() == b"\x01" + head + b"\x00\x00\x07\x05"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\x01", "1 bytes are too few"),
        (b"\x01" + b"\x01" * 15, "16 bytes are too few"),
        (b"\x03" + bytes(7) + b"\x01" + bytes(7) + b"\x01", "width 3"),
        (b"\x00" + b"\x01" * 16, "width 0"),
        (RangeSet([(5, 9)]).encode() + b"\x00", "18 bytes of width 1"),
        (b"\x01" + bytes(16), "from 0 to 0"),
        (b"\x01" + b"\x02" + bytes(7) + b"\x01" + bytes(7), "from 2 to 1"),
        (b"\x01" + b"\xff" * 16 + b"\x00\x00", "numbers above"),
        (b"\x08" + b"\x01" * 16 + b"\xff" * 16, "numbers above"),
    ],
)
def test_bytes_that_are_no_set_are_refused_with_the_reason(data: bytes, reason: str) -> None:
    with pytest.raises(FrameError, match=reason):
        RangeSet.decode(data)


@given(st.binary(max_size=60))
def test_any_bytes_are_a_set_or_refused(data: bytes) -> None:
    try:
        found = RangeSet.decode(data)
    except FrameError:
        return
    assert RangeSet(found) == found
    assert RangeSet.decode(found.encode()) == found
    assert found.count == sum(last - first + 1 for first, last in found)


# --- of numbers


@given(st.lists(st.integers(1, 60)))
@example([3, 1, 2])
@example([1, 1, 2, 4])
def test_the_ranges_of_numbers_in_any_order_are_those_of_their_set(some: list[int]) -> None:
    assert to_ranges(some) == maximal(set(some))
    assert to_ranges(iter(some)) == maximal(set(some))
