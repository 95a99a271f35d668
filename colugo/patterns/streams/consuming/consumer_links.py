"""The connections of a consumer to the streams of its topic."""

from collections.abc import Callable

from colugo.errors import FrameError
from colugo.net.runtime import Runtime
from colugo.patterns.connections.peer_connections import PeerConnections
from colugo.patterns.streams.consuming.consumer_link import ConsumerLink
from colugo.protocol.advertisement import Advertisement, SocketKind
from colugo.protocol.streams.deliveries import Deliveries
from colugo.protocol.streams.joining import Join, Joined


class ConsumerLinks(PeerConnections[ConsumerLink]):
    """The links of one consumer.

    Args:
        runtime: the node's runtime.
        topic: the topic of the streams.
        given: endpoints of streams that are not advertised.
        join: returns the consumer's description for the stream, at the time of joining.
        on_connected: called when a stream is connected.
        on_lost: called with `"lost"` or `"withdrawn"` when it no longer is.
        on_joined: called when a stream has admitted the consumer.
        on_refused: called with the reason when it has not.
        on_deliveries: gets the messages.
        on_malformed: gets the error of each malformed frame.
    """

    def __init__(
        self,
        runtime: Runtime,
        topic: str,
        given: list[str],
        *,
        join: Callable[[], Join],
        on_connected: Callable[[ConsumerLink], None],
        on_lost: Callable[[ConsumerLink, str], None],
        on_joined: Callable[[ConsumerLink, Joined], None],
        on_refused: Callable[[ConsumerLink, str], None],
        on_deliveries: Callable[[ConsumerLink, Deliveries], None],
        on_malformed: Callable[[ConsumerLink, FrameError], None],
    ) -> None:
        super().__init__(runtime, SocketKind.STREAM, topic, given)
        self._join = join
        self._on_connected = on_connected
        self._on_lost = on_lost
        self._on_joined = on_joined
        self._on_refused = on_refused
        self._on_deliveries = on_deliveries
        self._on_malformed = on_malformed

    def on_connected(self, connection: ConsumerLink) -> None:
        """Use a link from now on."""
        super().on_connected(connection)
        self._on_connected(connection)

    def on_lost(self, connection: ConsumerLink, reason: str) -> None:
        """Stop using a link."""
        super().on_lost(connection, reason)
        self._on_lost(connection, reason)

    def _make(self, peer: Advertisement, endpoint: str) -> ConsumerLink:
        return ConsumerLink(
            self._runtime,
            peer,
            endpoint,
            self,
            join=self._join,
            on_joined=self._on_joined,
            on_refused=self._on_refused,
            on_deliveries=self._on_deliveries,
            on_malformed=self._on_malformed,
        )
