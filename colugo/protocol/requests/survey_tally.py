"""The tally of a survey: each respondent and its outcome. Pure."""

from collections.abc import Iterable
from enum import Enum
from typing import Generic, TypeVar

P = TypeVar("P")


class SurveyOutcome(Enum):
    """The outcome of a survey for one respondent."""

    REPLIED = "replied"
    FAILED = "failed"
    DECLINED = "declined"
    LEFT = "left"


class SurveyTally(Generic[P]):
    """The outcomes of one survey: each respondent has one, or is silent. A quorum of replies completes it."""

    def __init__(self, asked: Iterable[P], quorum: int | None = None) -> None:
        self._silent = dict.fromkeys(asked)
        self._quorum = quorum
        self._replies = 0
        self.outcomes: dict[P, SurveyOutcome] = {}
        """The outcome of each respondent that is no longer silent, in the order of arrival."""

    @property
    def silent(self) -> list[P]:
        """The respondents without an outcome."""
        return list(self._silent)

    @property
    def complete(self) -> bool:
        """True if no respondent is silent, or the quorum is reached."""
        return not self._silent or (self._quorum is not None and self._replies >= self._quorum)

    def record(self, respondent: P, outcome: SurveyOutcome) -> bool:
        """Record the outcome of a respondent; return False if it was not asked, or has one already."""
        if respondent not in self._silent:
            return False
        del self._silent[respondent]
        self.outcomes[respondent] = outcome
        if outcome is SurveyOutcome.REPLIED:
            self._replies += 1
        return True
