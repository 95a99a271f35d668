"""The connections of a request client or surveyor to those it asks, and whose turn it is."""

from collections.abc import Callable

from colugo.errors import FrameError
from colugo.net.runtime import Runtime
from colugo.net.transport.socket_reader import MoreToRead
from colugo.patterns.connections.peer_connections import PeerConnections
from colugo.patterns.requests.server_link import ServerLink
from colugo.protocol.advertisement import Advertisement, SocketKind
from colugo.protocol.requests.calls import Call


class ServerLinks(PeerConnections[ServerLink]):
    """The links of one request client or surveyor; those that can be used are in the order of their turn.

    Args:
        runtime: the node's.
        kind: what is connected to: reply servers or respondents.
        topic: their topic.
        given: endpoints of plain servers.
        own: whether those of the node itself are connected to, too.
        on_change: called when the number of servers that take requests has changed.
        on_connected: called when a server is connected.
        on_lost: called with `"lost"` or `"withdrawn"` when it no longer is.
        on_replies: gets replies that arrived together; may return what is left to do.
        on_drained: called when no more replies are read for now.
        on_malformed: gets the error of each frame that is none.
    """

    def __init__(
        self,
        runtime: Runtime,
        kind: SocketKind,
        topic: str,
        given: list[str],
        *,
        own: bool = True,
        on_change: Callable[[], None],
        on_connected: Callable[[ServerLink], None],
        on_lost: Callable[[ServerLink, str], None],
        on_replies: Callable[[ServerLink, list[Call]], MoreToRead | None],
        on_drained: Callable[[], None],
        on_malformed: Callable[[ServerLink, FrameError], None],
    ) -> None:
        super().__init__(runtime, kind, topic, given, own=own)
        self._on_change_of_number = on_change
        self._on_connected = on_connected
        self._on_lost = on_lost
        self._on_replies = on_replies
        self._on_drained = on_drained
        self._on_malformed = on_malformed

    def on_connected(self, connection: ServerLink) -> None:
        """Use a link from now on."""
        super().on_connected(connection)
        self._on_connected(connection)

    def on_lost(self, connection: ServerLink, reason: str) -> None:
        """Stop using a link."""
        super().on_lost(connection, reason)
        self._on_lost(connection, reason)

    def _make(self, peer: Advertisement, endpoint: str) -> ServerLink:
        return ServerLink(
            self._runtime,
            peer,
            endpoint,
            self,
            on_replies=self._on_replies,
            on_drained=self._on_drained,
            on_malformed=self._on_malformed,
        )

    def _on_usable_changed(self) -> None:
        self._on_change_of_number()

    def next_in_turn(self) -> ServerLink | None:
        """The server whose turn it is (round robin), or None if none is connected."""
        if not self._usable:
            return None
        link = self._usable[0]
        self._usable.rotate(-1)
        return link

    def least(self, load: Callable[[ServerLink], int]) -> ServerLink | None:
        """The server with the least load, the longest unused of equals; None if none is connected."""
        if not self._usable:
            return None
        link = min(self._usable, key=load)
        self._usable.remove(link)
        self._usable.append(link)
        return link
