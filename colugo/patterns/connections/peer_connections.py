"""Connections with a DEALER each to the advertised sockets of a topic."""

from collections import deque

from colugo.net.runtime import Runtime
from colugo.patterns.connections.link_manager import LinkManager
from colugo.patterns.connections.peer_connection import C
from colugo.protocol.advertisement import Advertisement, SocketKind


class PeerConnections(LinkManager[C]):
    """The base of a part's connections to all of a kind and topic.

    A subclass makes the connections, and extends `on_connected`, `on_lost` and `_on_usable_changed`.

    Args:
        runtime: the node's runtime.
        kind: the kind of socket to connect to.
        topic: the topic.
        given: endpoints of plain peers, which are not advertised.
        own: True to connect to sockets of the same node, too.
    """

    def __init__(
        self, runtime: Runtime, kind: SocketKind, topic: str, given: list[str], *, own: bool = True
    ) -> None:
        super().__init__(runtime, kind, topic, given, own=own)
        self._usable: deque[C] = deque()
        self._retired: set[C] = set()

    @property
    def connected(self) -> list[C]:
        """The connections that can be used."""
        return list(self._usable)

    def close(self) -> None:
        """Close all connections without reporting them as lost."""
        super().close()
        for connection in (*self._all.values(), *self._retired):
            connection.close()

    def on_connected(self, connection: C) -> None:
        """Use a connection from now on."""
        self._set_usable(connection)

    def on_lost(self, connection: C, reason: str) -> None:
        """Stop using a connection."""
        del reason
        self._set_unusable(connection)

    def on_ended(self, connection: C) -> None:
        """Forget a connection that has closed itself."""
        self._retired.discard(connection)
        if self._all.get(connection.endpoint) is connection:
            del self._all[connection.endpoint]

    def _make(self, peer: Advertisement, endpoint: str) -> C:
        """Override to make a connection, with this object as its listener."""
        raise NotImplementedError

    def _on_usable_changed(self) -> None:
        """Override to act when more or fewer connections can be used."""

    def _connect(self, peer: Advertisement, endpoint: str) -> None:
        self._all[endpoint] = self._make(peer, endpoint)

    def _reconnect(self, link: C) -> None:
        link.reconnect()

    def _is_up(self, link: C) -> bool:
        return link.up

    def _is_connected(self, link: C) -> bool:
        return link in self._usable

    def _end(self, link: C) -> None:
        link.end()

    def _make_room(self, link: C, peer: Advertisement, endpoint: str) -> bool:
        """End a connection beside a new one: each has a socket of its own."""
        del peer, endpoint
        del self._all[link.endpoint]
        self._set_unusable(link)
        self._retired.add(link)
        link.end()
        return True

    def _keep(self, link: C, peer: Advertisement) -> None:
        returns = link.leaving and link.connected
        super()._keep(link, peer)
        if returns:
            self._set_usable(link)

    def _leave(self, link: C) -> None:
        self._set_unusable(link)
        super()._leave(link)

    def _set_usable(self, connection: C) -> None:
        self._usable.append(connection)
        self._on_usable_changed()

    def _set_unusable(self, connection: C) -> None:
        if connection in self._usable:
            self._usable.remove(connection)
            self._on_usable_changed()
