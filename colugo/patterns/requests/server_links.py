"""The connections of a request client or surveyor to its servers, and their order."""

from collections.abc import Callable

from colugo.errors import FrameError
from colugo.net.runtime import Runtime
from colugo.patterns.base import ThrottledWarnings
from colugo.patterns.callbacks import Handler
from colugo.patterns.connections.peer_connections import PeerConnections
from colugo.patterns.gate import Gate
from colugo.patterns.requests.server_link import ReplyListener, ServerLink
from colugo.protocol.advertisement import Advertisement, SocketKind


class ServerLinks(PeerConnections[ServerLink]):
    """The links of one request client or surveyor, in the order in which they are used.

    Args:
        runtime: the node's runtime.
        kind: the kind of server: reply servers or respondents.
        topic: the topic.
        given: endpoints of plain servers.
        listener: the sender of requests.
        gate: the count of connected servers.
        on_connect: the user's callback for a server that has connected.
        on_disconnect: the user's callback for a server that has disconnected.
        own: True to connect to servers of the same node, too.

    Attributes:
        malformed: frames that were not of the wire format.
    """

    def __init__(
        self,
        runtime: Runtime,
        kind: SocketKind,
        topic: str,
        given: list[str],
        listener: ReplyListener,
        *,
        gate: Gate,
        on_connect: Handler | None,
        on_disconnect: Handler | None,
        own: bool,
    ) -> None:
        super().__init__(runtime, kind, topic, given, own=own)
        self._listener = listener
        self._on_connect = on_connect
        self._on_disconnect = on_disconnect
        self._warnings = ThrottledWarnings(runtime)
        self._gate = gate
        self.malformed = 0

    def close(self) -> None:
        """Close all links, and make `ready()` fail."""
        super().close()
        self._gate.close()

    def on_connected(self, connection: ServerLink) -> None:
        """Use a link from now on."""
        super().on_connected(connection)
        if self._on_connect is not None:
            self._on_connect.run(connection.peer)

    def on_lost(self, connection: ServerLink, reason: str) -> None:
        """Stop using a link."""
        super().on_lost(connection, reason)
        self._listener.on_lost(connection)
        if self._on_disconnect is not None:
            self._on_disconnect.run(connection.peer, reason)

    def on_malformed(self, link: ServerLink, error: FrameError) -> None:
        """Count and log a malformed frame."""
        self.malformed += 1
        self._warnings.warn(link.endpoint, f"a reply of {link.peer} is malformed", error)

    def next_in_turn(self) -> ServerLink | None:
        """Return the next server in turn (round robin), or None if none is connected."""
        if not self._usable:
            return None
        link = self._usable[0]
        self._usable.rotate(-1)
        return link

    def least(self, load: Callable[[ServerLink], int]) -> ServerLink | None:
        """Return the server with the least load, the longest unused of equals; None if none is connected."""
        if not self._usable:
            return None
        link = min(self._usable, key=load)
        self._usable.remove(link)
        self._usable.append(link)
        return link

    def _make(self, peer: Advertisement, endpoint: str) -> ServerLink:
        return ServerLink(self._runtime, peer, endpoint, self, self._listener)

    def _on_usable_changed(self) -> None:
        self._gate.set(len(self._usable))
        self._listener.on_usable_changed()
