"""The table of deadlines that the dispatcher keeps."""

import sys

from hypothesis import example, given
from hypothesis import strategies as st

from colugo.dispatcher.deadline_heap import Deadlines

_TIMES = st.floats(0, 1e6)


@given(st.lists(_TIMES), _TIMES)
@example([0.0, 5e-324, 0.0], 1.0)
@example([1.0, 1.0000000000000002, 1.0], 2.0)
def test_what_is_expired_comes_in_the_order_of_deadlines_and_the_rest_stays(
    times: list[float], now: float
) -> None:
    """A deadline that is taken already is put off by the least that there is, which may be another one's."""
    deadlines: Deadlines[int] = Deadlines()
    keys = [deadlines.add(number, time) for number, time in enumerate(times)]
    assert len(set(keys)) == len(times) == len(deadlines)
    assert all(key - time <= 1e-6 for key, time in zip(keys, times, strict=True))
    ordered = sorted(range(len(keys)), key=keys.__getitem__)
    late = [number for number in ordered if keys[number] < now]
    left = [number for number in ordered if keys[number] >= now]
    assert deadlines.take_expired(now, len(times) + 1) == late
    assert deadlines.next_deadline() == (keys[left[0]] if left else None)
    assert sorted(deadlines.take_all()) == sorted(left)
    assert deadlines.next_deadline() is None


@given(st.lists(_TIMES, min_size=1), st.data())
def test_what_is_taken_does_not_expire(times: list[float], data: st.DataObject) -> None:
    deadlines: Deadlines[int] = Deadlines()
    keys = [deadlines.add(number, time) for number, time in enumerate(times)]
    taken = data.draw(st.sets(st.integers(0, len(times) - 1)))
    for number in taken:
        assert deadlines.take(keys[number]) == number
        assert deadlines.take(keys[number]) is None
    left = set(range(len(times))) - taken
    assert deadlines.next_deadline() == min((keys[number] for number in left), default=None)
    assert set(deadlines.take_expired(2e6, len(times))) == left


def test_no_more_is_taken_at_once_than_was_asked_for() -> None:
    deadlines: Deadlines[int] = Deadlines()
    for number in range(10):
        deadlines.add(number, 1.0)
    assert deadlines.take_expired(2.0, 4) == [0, 1, 2, 3]
    assert deadlines.take_expired(2.0, 40) == [4, 5, 6, 7, 8, 9]


def test_the_room_of_what_has_been_taken_is_given_back() -> None:
    deadlines: Deadlines[int] = Deadlines()
    deadlines.add(-1, 1e9)
    keys = [deadlines.add(number, float(number)) for number in range(50_000)]
    for key in keys[:25_000]:
        deadlines.take(key)
    deadlines.take_expired(1e6, 50_000)
    assert len(deadlines) == 1
    assert sys.getsizeof(deadlines._items) + sys.getsizeof(deadlines._heap) < 100_000
