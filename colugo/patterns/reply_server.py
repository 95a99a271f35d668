"""The serving side of request/reply."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from colugo.net.runtime import Runtime
from colugo.patterns.replier import Replier
from colugo.protocol.advertisement import Kind
from colugo.protocol.part_description import ReplyServerDescription


@dataclass(frozen=True, slots=True)
class ReplyServerStats:
    """What a reply server has done.

    Attributes:
        requests: requests received.
        replies: replies sent, errors included.
        errors: of those, how many were errors.
        dropped: replies whose client had gone or did not read.
        undecodable: requests that did not fit the codec.
        malformed: messages that were neither ours nor of a REQ socket.
        refused: requests meant for a server that had this port before.
    """

    requests: int
    replies: int
    errors: int
    dropped: int
    undecodable: int
    malformed: int
    refused: int


class ReplyServer(Replier):
    """Answers requests of a topic; made by `Node.add_reply_server`."""

    def __init__(
        self,
        runtime: Runtime,
        topic: str,
        callback: Callable[..., Any],
        *,
        codec: Any = None,
        port: int | None = None,
    ) -> None:
        super().__init__(runtime, Kind.REPLY_SERVER, topic, callback, codec=codec, port=port)

    @property
    def stats(self) -> ReplyServerStats:
        """Counters so far."""
        return ReplyServerStats(
            requests=self._requests,
            replies=self._replies,
            errors=self._errors,
            dropped=self._answers.dropped,
            undecodable=self._undecodable,
            malformed=self._malformed,
            refused=self._refused,
        )

    def describe(self) -> object:
        """What the node says of it when it is asked."""
        stats = self.stats
        return ReplyServerDescription(
            topic=self.topic,
            socket_id=self._id.hex(),
            codec=self._codec.name,
            endpoints=self.endpoints,
            requests=stats.requests,
            replies=stats.replies,
            errors=stats.errors,
            dropped=stats.dropped,
            undecodable=stats.undecodable,
            malformed=stats.malformed,
        )
