"""The respondent: answers surveys."""

from dataclasses import dataclass

from colugo.patterns.requests.server_base import ServerBase
from colugo.protocol.advertisement import SocketKind
from colugo.protocol.description.socket_descriptions import RespondentDescription


@dataclass(frozen=True, slots=True)
class RespondentStats:
    """The counters of a respondent.

    Attributes:
        surveys: surveys received.
        replies: answers sent, errors and declines included.
        errors: of those, how many were errors.
        declined: of those, how many took no part.
        dropped: answers whose surveyor had disconnected or did not read.
        undecodable: surveys that did not fit the codec.
        malformed: messages that were neither of the wire format nor of a REQ socket.
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


class Respondent(ServerBase):
    """A respondent answers surveys of a topic; made by `Node.add_respondent`."""

    _kind = SocketKind.RESPONDENT
    _description = RespondentDescription

    @property
    def stats(self) -> RespondentStats:
        """Counters so far."""
        return RespondentStats(surveys=self._requests, declined=self._sender.declined, **self._counters())
