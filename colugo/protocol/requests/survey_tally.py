"""Who was asked in a survey, and what became of each. Pure."""

from collections.abc import Iterable
from enum import Enum
from typing import Generic, TypeVar

P = TypeVar("P")


class SurveyOutcome(Enum):
    """What became of one that was asked."""

    REPLIED = "replied"
    FAILED = "failed"
    DECLINED = "declined"
    LEFT = "left"


class SurveyTally(Generic[P]):
    """The account of one survey: each one that was asked has one outcome, or is silent.

    Args:
        asked: who is asked.
        quorum: how many replies are enough; None for those of all.
    """

    def __init__(self, asked: Iterable[P], quorum: int | None = None) -> None:
        self._silent = dict.fromkeys(asked)
        self._quorum = quorum
        self._replies = 0
        self.outcomes: dict[P, SurveyOutcome] = {}
        """Of those that are no longer silent, in the order in which it came."""

    @property
    def silent(self) -> list[P]:
        """Those that nothing has been heard of."""
        return list(self._silent)

    @property
    def complete(self) -> bool:
        """Whether there is nobody left to wait for, or the quorum is reached."""
        return not self._silent or (self._quorum is not None and self._replies >= self._quorum)

    def note(self, one: P, outcome: SurveyOutcome) -> bool:
        """Enter an outcome; False if it was not asked, or has one already."""
        if one not in self._silent:
            return False
        del self._silent[one]
        self.outcomes[one] = outcome
        if outcome is SurveyOutcome.REPLIED:
            self._replies += 1
        return True
