"""The throttle: one log line per period for each subject, and an exact count of the suppressed ones."""

from hypothesis import given
from hypothesis import strategies as st

import tests.support.strategies  # noqa: F401 - loads hypothesis' profile
from colugo.protocol import throttle
from colugo.protocol.throttle import Throttle

PERIOD_S = 60.0
steps = st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 50)), max_size=60)


def test_the_first_of_a_subject_is_let_through_and_those_within_the_period_are_held() -> None:
    throttle = Throttle(PERIOD_S)
    assert throttle.admit("lab", 100.0) == 0
    assert throttle.admit("lab", 100.0) is None
    assert throttle.admit("lab", 159.9) is None


def test_the_next_after_the_period_tells_how_many_were_held() -> None:
    throttle = Throttle(PERIOD_S)
    throttle.admit("lab", 0.0)
    throttle.admit("lab", 1.0)
    throttle.admit("lab", 2.0)
    assert throttle.admit("lab", 60.0) == 2
    assert throttle.admit("lab", 120.0) == 0


def test_subjects_do_not_hold_each_other() -> None:
    throttle = Throttle(PERIOD_S)
    assert throttle.admit("lab", 0.0) == 0
    assert throttle.admit(("lab", "sensor"), 0.0) == 0
    assert throttle.admit(None, 0.0) == 0


def test_time_may_begin_at_zero_or_below() -> None:
    throttle = Throttle(PERIOD_S)
    assert throttle.admit("lab", -10.0) == 0
    assert throttle.admit("lab", 0.0) is None
    assert throttle.admit("lab", 50.0) == 1


@given(steps)
def test_each_is_let_through_once_a_period_and_every_held_one_is_told(steps: list[tuple[str, float]]) -> None:
    throttle = Throttle(PERIOD_S)
    now = 0.0
    last: dict[str, float] = {}
    held: dict[str, int] = dict.fromkeys("abc", 0)
    for subject, pause in steps:
        now += pause
        answer = throttle.admit(subject, now)
        if subject in last and now - last[subject] < PERIOD_S:
            assert answer is None
            held[subject] += 1
        else:
            assert answer == held[subject]
            last[subject], held[subject] = now, 0


def test_strangers_names_take_bounded_memory_and_the_newest_are_remembered() -> None:
    limit = throttle._MAX_SUBJECTS
    one = Throttle(PERIOD_S)
    for number in range(10 * limit):
        assert one.admit(number, float(number) / limit) == 0
    assert len(one._subjects) == limit
    assert one.admit(10 * limit - 1, 10.0) is None
    assert one.admit(0, 10.0) == 0


def test_a_subject_that_is_let_through_again_counts_as_new() -> None:
    limit = throttle._MAX_SUBJECTS
    one = Throttle(PERIOD_S)
    for number in range(limit):
        one.admit(number, 0.0)
    assert one.admit(5, PERIOD_S) == 0
    assert len(one._subjects) == limit
    assert list(one._subjects)[-1] == 5
    assert one.admit("another", PERIOD_S) == 0
    assert 0 not in one._subjects
