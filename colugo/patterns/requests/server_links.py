"""The connections of a request client or surveyor to those it asks, and whose turn it is."""

from collections.abc import Callable

from colugo.errors import FrameError
from colugo.net.runtime import Runtime
from colugo.net.transport.socket_reader import MoreToRead
from colugo.patterns.connections.peer_connection import ConnectionReports
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
        def make(peer: Advertisement, endpoint: str, reports: ConnectionReports[ServerLink]) -> ServerLink:
            return ServerLink(
                runtime,
                peer,
                endpoint,
                reports,
                on_replies=on_replies,
                on_drained=on_drained,
                on_malformed=on_malformed,
            )

        super().__init__(
            runtime,
            kind,
            topic,
            make,
            given=given,
            own=own,
            on_change=on_change,
            on_connected=on_connected,
            on_lost=on_lost,
        )

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
