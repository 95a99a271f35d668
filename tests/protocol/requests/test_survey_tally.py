"""The tally of a survey, with outcomes of any kind in any order."""

from hypothesis import given
from hypothesis import strategies as st

from colugo.protocol.requests.survey_tally import SurveyOutcome, SurveyTally

PEERS = st.integers(0, 9)


@given(
    st.sets(PEERS),
    st.none() | st.integers(1, 12),
    st.lists(st.tuples(PEERS, st.sampled_from(SurveyOutcome))),
)
def test_each_one_that_was_asked_is_silent_or_has_its_first_outcome(
    asked: set[int], quorum: int | None, events: list[tuple[int, SurveyOutcome]]
) -> None:
    roll = SurveyTally(asked, quorum)
    first: dict[int, SurveyOutcome] = {}
    for one, outcome in events:
        assert roll.record(one, outcome) == (one in asked and one not in first)
        if one in asked:
            first.setdefault(one, outcome)
        replies = sum(its is SurveyOutcome.REPLIED for its in first.values())
        assert roll.complete == (len(first) == len(asked) or (quorum is not None and replies >= quorum))
    assert roll.outcomes == first
    assert list(roll.outcomes) == list(first)
    assert set(roll.silent) == asked - set(first)


def test_a_survey_of_nobody_is_complete() -> None:
    assert SurveyTally([]).complete
