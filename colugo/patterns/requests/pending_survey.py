"""A survey in progress."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from colugo.errors import RequestError
from colugo.patterns.requests.server_link import ServerLink
from colugo.patterns.requests.survey import Survey, SurveyReply
from colugo.protocol.requests.calls import Call
from colugo.protocol.requests.survey_tally import SurveyOutcome, SurveyTally


class SurveyCallbacks(NamedTuple):
    """The callbacks of a survey.

    Attributes:
        on_reply: called with each answer as it arrives, errors included; None if not needed.
        on_end: called with the result.
        on_error: called instead of `on_end` when the surveyor is closed.
    """

    on_reply: Callable[[SurveyReply], None] | None
    on_end: Callable[[Survey], None]
    on_error: Callable[[RequestError], None]


@dataclass(eq=False, slots=True)
class PendingSurvey:
    """A survey in progress.

    Attributes:
        call: the call that is sent to each respondent.
        timeout_ms: the timeout in milliseconds.
        quorum: the number of replies that completes the survey; None to wait for all respondents.
        callbacks: the callbacks of the survey.
        tally: the respondents that were asked, and the outcome of each.
        values: the replies and errors.
        began: the time when it was sent, in seconds of `time.monotonic`.
        timer: the timer of its timeout.
        ended: whether it has ended.
    """

    call: Call
    timeout_ms: float
    quorum: int | None
    callbacks: SurveyCallbacks
    tally: SurveyTally[ServerLink] = field(default_factory=lambda: SurveyTally(()))
    values: dict[ServerLink, Any] = field(default_factory=dict)
    began: float = 0.0
    timer: asyncio.TimerHandle | None = None
    ended: bool = False

    def result(self, now: float) -> Survey:
        """Return the result of the survey at its end."""
        outcomes, values = self.tally.outcomes, self.values

        def having(wanted: SurveyOutcome) -> list[ServerLink]:
            return [link for link, outcome in outcomes.items() if outcome is wanted]

        return Survey(
            replies={link.peer: values[link] for link in having(SurveyOutcome.REPLIED)},
            failed={link.peer: values[link] for link in having(SurveyOutcome.FAILED)},
            declined=tuple(link.peer for link in having(SurveyOutcome.DECLINED)),
            silent=tuple(link.peer for link in self.tally.silent),
            left=tuple(link.peer for link in having(SurveyOutcome.LEFT)),
            elapsed_ms=1000 * (now - self.began),
        )
