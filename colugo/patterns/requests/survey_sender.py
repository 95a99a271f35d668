"""The sending side of a surveyor: surveys in progress, their timeouts and answers."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any, NamedTuple

from colugo.errors import RequestError
from colugo.net.runtime import Runtime
from colugo.patterns.requests.server_links import SenderBase, ServerLink
from colugo.patterns.requests.survey import Survey, SurveyReply
from colugo.protocol.codecs import Codec
from colugo.protocol.error_report import decode_error
from colugo.protocol.requests.calls import FLAG_DECLINED, FLAG_ERROR, FLAG_REFUSED, FLAG_TEXT, Call
from colugo.protocol.requests.survey_tally import SurveyOutcome, SurveyTally


class SurveyCallbacks(NamedTuple):
    """The callbacks of a survey.

    Attributes:
        on_reply: called with each answer as it arrives, errors included; None if not needed.
        on_end: called with the result at the end.
        on_error: called instead of `on_end` when the surveyor is closed.
    """

    on_reply: Callable[[SurveyReply], None] | None
    on_end: Callable[[Survey], None]
    on_error: Callable[[RequestError], None]


@dataclass(eq=False, slots=True)
class PendingSurvey:
    """A survey in progress.

    Attributes:
        quorum: the number of replies that completes the survey; None to wait for all respondents.
        values: the replies and errors.
        began: the time when it was sent, in seconds of `time.monotonic`.
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
        """Return the result at the end."""
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


class SurveySender(SenderBase):
    """Sends surveys to all respondents, and ends each when it is complete or at its timeout.

    Its `outcomes` are the numbers of respondents with each outcome, in all surveys.
    """

    def __init__(self, runtime: Runtime, topic: str, codec: Codec, label: str) -> None:
        super().__init__(runtime, topic, codec, label)
        self._in_progress: dict[int, PendingSurvey] = {}
        self.numbers = count(1)
        self.surveys = self.silent = self.late = 0
        self.outcomes = dict.fromkeys(SurveyOutcome, 0)

    @property
    def pending(self) -> int:
        """The number of surveys in progress."""
        return len(self._in_progress)

    def close(self) -> None:
        """Fail all surveys in progress, with `ClosedError` as the cause."""
        super().close()
        for pending in list(self._in_progress.values()):
            self._fail_closed(pending)

    def begin(self, pending: PendingSurvey) -> None:
        """Send a survey to all connected respondents."""
        if self._closed:
            self._fail_closed(pending)
            return
        if not self._opened:  # the timeout counts from the start of the node
            self._runtime.when_open(lambda: self.begin(pending))
            return
        if pending.ended:  # cancelled meanwhile
            return
        self.surveys += 1
        pending.began = time.monotonic()
        links = self._links.connected
        pending.tally = SurveyTally(links, pending.quorum)
        if not links:
            self._end(pending)
            return
        number = pending.call.correlation
        self._in_progress[number] = pending
        pending.timer = asyncio.get_running_loop().call_later(pending.timeout_ms / 1000, self._end, pending)
        for link in links:
            link.send(pending.call)

    def cancel(self, pending: PendingSurvey) -> None:
        """End a survey without a result."""
        pending.ended = True
        self._in_progress.pop(pending.call.correlation, None)
        if pending.timer is not None:
            pending.timer.cancel()
        for link in pending.tally.silent:
            link.discard(pending.call.correlation)

    def on_lost(self, link: ServerLink) -> None:
        """Record that a respondent has left."""
        for pending in list(self._in_progress.values()):
            if pending.tally.record(link, SurveyOutcome.LEFT):
                self.outcomes[SurveyOutcome.LEFT] += 1
                if pending.tally.complete:
                    self._end(pending)

    def on_replies(self, link: ServerLink, calls: list[Call]) -> None:
        """Take answers that arrived together."""
        for call in calls:
            pending = self._in_progress.get(call.correlation)
            if pending is None:
                self.late += 1
            else:
                self._take(pending, link, call)

    def _take(self, pending: PendingSurvey, link: ServerLink, call: Call) -> None:
        answer: SurveyReply | None = None
        if call.flags & FLAG_DECLINED:
            outcome = SurveyOutcome.DECLINED
        elif call.flags & FLAG_REFUSED:  # another respondent has its port now
            outcome = SurveyOutcome.LEFT
        else:
            answer = self._decode(link, call)
            outcome = SurveyOutcome.REPLIED if answer.error is None else SurveyOutcome.FAILED
        if not pending.tally.record(link, outcome):
            self.late += 1
            return
        self.outcomes[outcome] += 1
        if answer is not None:
            pending.values[link] = answer.reply if answer.error is None else answer.error
            if pending.callbacks.on_reply is not None:
                pending.callbacks.on_reply(answer)
        if pending.tally.complete:
            self._end(pending)

    def _decode(self, link: ServerLink, call: Call) -> SurveyReply:
        if call.flags & FLAG_ERROR:
            return SurveyReply(link.peer, None, decode_error(call.payload))
        try:
            return SurveyReply(link.peer, self._codec.unpack(call.payload, text=bool(call.flags & FLAG_TEXT)))
        except ValueError as error:
            return SurveyReply(link.peer, None, self._decode_error(link, error))

    def _end(self, pending: PendingSurvey) -> None:
        if pending.ended:
            return
        self.cancel(pending)
        survey = pending.result(time.monotonic())
        self.silent += len(survey.silent)
        pending.callbacks.on_end(survey)

    def _fail_closed(self, pending: PendingSurvey) -> None:
        self.cancel(pending)
        pending.callbacks.on_error(self._closed_error())
