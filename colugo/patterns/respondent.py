"""The side that answers surveys."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from colugo.net.runtime import Runtime
from colugo.patterns.replier import Replier
from colugo.protocol.advertisement import Kind
from colugo.protocol.part_description import RespondentDescription


@dataclass(frozen=True, slots=True)
class RespondentStats:
    """What a respondent has done.

    Attributes:
        surveys: surveys received.
        replies: answers sent, errors and declines included.
        errors: of those, how many were errors.
        declined: of those, how many took no part.
        dropped: answers whose surveyor had gone or did not read.
        undecodable: surveys that did not fit the codec.
        malformed: messages that were neither ours nor of a REQ socket.
        refused: surveys meant for a respondent that had this port before.
    """

    surveys: int
    replies: int
    errors: int
    declined: int
    dropped: int
    undecodable: int
    malformed: int
    refused: int


class Respondent(Replier):
    """Answers surveys of a topic; made by `Node.add_respondent`."""

    def __init__(
        self,
        runtime: Runtime,
        topic: str,
        callback: Callable[..., Any],
        *,
        codec: Any = None,
        port: int | None = None,
    ) -> None:
        super().__init__(runtime, Kind.RESPONDENT, topic, callback, codec=codec, port=port)

    @property
    def stats(self) -> RespondentStats:
        """Counters so far."""
        return RespondentStats(
            surveys=self._requests,
            replies=self._replies,
            errors=self._errors,
            declined=self._declined,
            dropped=self._answers.dropped,
            undecodable=self._undecodable,
            malformed=self._malformed,
            refused=self._refused,
        )

    def describe(self) -> object:
        """What the node says of it when it is asked."""
        stats = self.stats
        return RespondentDescription(
            topic=self.topic,
            socket_id=self._id.hex(),
            codec=self._codec.name,
            endpoints=self.endpoints,
            requests=stats.surveys,
            replies=stats.replies,
            errors=stats.errors,
            dropped=stats.dropped,
            undecodable=stats.undecodable,
            malformed=stats.malformed,
        )
