"""The connections of a consumer to the streams of its topic."""

from colugo.net.runtime import Runtime
from colugo.patterns.connections.peer_connections import PeerConnections
from colugo.patterns.streams.consuming.consumer_link import ConsumerLink, SessionListener
from colugo.protocol.advertisement import Advertisement, SocketKind


class ConsumerLinks(PeerConnections[ConsumerLink]):
    """The links of one consumer.

    Args:
        runtime: the node's runtime.
        topic: the topic of the streams.
        given: endpoints of streams that are not advertised.
        sessions: the owner of the consumer's sessions.
    """

    def __init__(self, runtime: Runtime, topic: str, given: list[str], sessions: SessionListener) -> None:
        super().__init__(runtime, SocketKind.STREAM, topic, given)
        self._sessions = sessions

    def on_connected(self, connection: ConsumerLink) -> None:
        """Use a link from now on."""
        super().on_connected(connection)
        self._sessions.on_connected(connection)

    def on_lost(self, connection: ConsumerLink, reason: str) -> None:
        """Stop using a link."""
        super().on_lost(connection, reason)
        self._sessions.on_lost(connection)

    def _make(self, peer: Advertisement, endpoint: str) -> ConsumerLink:
        return ConsumerLink(self._runtime, peer, endpoint, self, self._sessions)
