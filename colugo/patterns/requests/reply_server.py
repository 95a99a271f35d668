"""The reply server: answers requests."""

from dataclasses import dataclass

from colugo.patterns.requests.server_base import ServerBase
from colugo.protocol.advertisement import SocketKind
from colugo.protocol.description.socket_descriptions import ReplyServerDescription


@dataclass(frozen=True, slots=True)
class ReplyServerStats:
    """The counters of a reply server.

    Attributes:
        requests: requests received.
        replies: replies sent, errors included.
        errors: of those, how many were errors.
        dropped: replies whose client had disconnected or did not read.
        undecodable: requests that did not fit the codec.
        malformed: messages that were neither of the wire format nor of a REQ socket.
        refused: requests meant for a server that had this port before.
    """

    requests: int
    replies: int
    errors: int
    dropped: int
    undecodable: int
    malformed: int
    refused: int


class ReplyServer(ServerBase):
    """A reply server answers requests of a topic; made by `Node.add_reply_server`."""

    _kind = SocketKind.REPLY_SERVER
    _description = ReplyServerDescription

    @property
    def stats(self) -> ReplyServerStats:
        """Counters so far."""
        return ReplyServerStats(requests=self._requests, **self._counters())
