"""A survey under way."""

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
    """Who hears of a survey.

    Attributes:
        on_reply: gets each answer, as it comes; errors, too.
        on_end: gets what it has come to.
        on_error: called instead, when the surveyor is closed.
    """

    on_reply: Callable[[SurveyReply], None] | None
    on_end: Callable[[Survey], None]
    on_error: Callable[[RequestError], None]


@dataclass(eq=False, slots=True)
class PendingSurvey:
    """What there is of it so far.

    Attributes:
        call: what is sent to each.
        timeout_ms: how long it waits, in milliseconds.
        quorum: how many replies are enough; None for all.
        callbacks: who hears of it.
        roll: who was asked, and what became of each.
        values: the replies and errors.
        began: when it was sent.
        timer: its end, at the latest.
        ended: whether it has.
    """

    call: Call
    timeout_ms: float
    quorum: int | None
    callbacks: SurveyCallbacks
    roll: SurveyTally[ServerLink] = field(default_factory=lambda: SurveyTally(()))
    values: dict[ServerLink, Any] = field(default_factory=dict)
    began: float = 0.0
    timer: asyncio.TimerHandle | None = None
    ended: bool = False

    def account(self, now: float) -> Survey:
        """What it has come to, at its end."""
        outcomes, values = self.roll.outcomes, self.values

        def those(outcome: SurveyOutcome) -> list[ServerLink]:
            return [link for link, its in outcomes.items() if its is outcome]

        return Survey(
            replies={link.peer: values[link] for link in those(SurveyOutcome.REPLIED)},
            failed={link.peer: values[link] for link in those(SurveyOutcome.FAILED)},
            declined=tuple(link.peer for link in those(SurveyOutcome.DECLINED)),
            silent=tuple(link.peer for link in self.roll.silent),
            left=tuple(link.peer for link in those(SurveyOutcome.LEFT)),
            elapsed_ms=1000 * (now - self.began),
        )
