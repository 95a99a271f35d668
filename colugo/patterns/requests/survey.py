"""What a survey has come to, and a surveyor."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from colugo.errors import RequestError
from colugo.protocol.advertisement import Advertisement


@dataclass(frozen=True, slots=True)
class Survey:
    """The account of a survey: each respondent that was asked is in one of these.

    Attributes:
        replies: what they have replied, in the order of arrival; None is a reply, too.
        failed: those whose callback raised (`RemoteError`), or whose reply did not decode.
        declined: those that took no part.
        silent: those that had not answered when it ended, by its timeout or its quorum.
        left: those that were gone before they had answered.
        elapsed_ms: how long it took, in milliseconds.
    """

    replies: Mapping[Advertisement, Any]
    failed: Mapping[Advertisement, RequestError]
    declined: tuple[Advertisement, ...]
    silent: tuple[Advertisement, ...]
    left: tuple[Advertisement, ...]
    elapsed_ms: float

    @property
    def asked(self) -> int:
        """How many respondents were asked: those that were connected when it began."""
        return sum(map(len, (self.replies, self.failed, self.declined, self.silent, self.left)))


@dataclass(frozen=True, slots=True)
class SurveyReply:
    """One answer, as it comes.

    Attributes:
        peer: the respondent.
        reply: what it has replied; None if it failed.
        error: why it failed; None if it has replied.
    """

    peer: Advertisement
    reply: Any
    error: RequestError | None = None


@dataclass(frozen=True, slots=True)
class SurveyorStats:
    """What a surveyor has done.

    Attributes:
        surveys: surveys begun.
        replies: replies in time.
        failed: errors in time, and replies that did not decode.
        declined: respondents that took no part.
        silent: respondents that had not answered when their survey ended.
        left: respondents that were gone before they had answered.
        late: answers that came after their survey had ended, and were dropped.
        malformed: frames that were not of the wire format.
        pending: surveys under way.
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
