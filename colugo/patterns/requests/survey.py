"""The result of a survey, and the stats of a surveyor."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from colugo.errors import RequestError
from colugo.protocol.advertisement import Advertisement


@dataclass(frozen=True, slots=True)
class Survey:
    """The result of a survey: each respondent that was asked is in one of its collections.

    Attributes:
        replies: the replies by respondent, in the order of arrival; None is a reply, too.
        failed: respondents whose callback raised (`RemoteError`), or whose reply did not decode.
        declined: respondents that took no part.
        silent: respondents that had not answered when the survey ended, by its timeout or its quorum.
        left: respondents that disconnected before they answered.
        elapsed_ms: the duration of the survey in milliseconds.
    """

    replies: Mapping[Advertisement, Any]
    failed: Mapping[Advertisement, RequestError]
    declined: tuple[Advertisement, ...]
    silent: tuple[Advertisement, ...]
    left: tuple[Advertisement, ...]
    elapsed_ms: float

    @property
    def asked(self) -> int:
        """The number of respondents that were asked: those connected when the survey began."""
        return sum(map(len, (self.replies, self.failed, self.declined, self.silent, self.left)))


@dataclass(frozen=True, slots=True)
class SurveyReply:
    """One answer to a survey that is still in progress.

    Attributes:
        peer: the respondent.
        reply: its reply; None if it failed.
        error: the reason why it failed; None if it replied.
    """

    peer: Advertisement
    reply: Any
    error: RequestError | None = None


@dataclass(frozen=True, slots=True)
class SurveyorStats:
    """The counters of a surveyor.

    Attributes:
        surveys: surveys begun.
        replies: replies in time.
        failed: errors in time, and replies that did not decode.
        declined: respondents that took no part.
        silent: respondents that had not answered when their survey ended.
        left: respondents that disconnected before they answered.
        late: answers that arrived after their survey had ended, and were dropped.
        malformed: frames that were not of the wire format.
        pending: surveys in progress.
        respondents: respondents that are connected now.
    """

    surveys: int
    replies: int
    failed: int
    declined: int
    silent: int
    left: int
    late: int
    malformed: int
    pending: int
    respondents: int
