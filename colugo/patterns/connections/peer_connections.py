"""A connection of its own to each advertised socket of a topic, as long as it is there."""

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Generic

from colugo.net.addresses.interfaces import Scope
from colugo.net.directory import DirectoryChange
from colugo.net.registry import Watch
from colugo.net.runtime import Runtime
from colugo.patterns.connections.link import is_cut_off, plain_peer
from colugo.patterns.connections.peer_connection import C, ConnectionReports
from colugo.protocol.advertisement import Advertisement, SocketKind

Make = Callable[[Advertisement, str, ConnectionReports[C]], C]
"""Makes the connection to a peer at an endpoint."""


class PeerConnections(Generic[C]):
    """The connections of one part of a node to all of a kind and topic.

    Args:
        runtime: the node's.
        kind: what is connected to.
        topic: their topic.
        make: makes a connection, which begins to connect at once.
        given: endpoints of plain peers, which are not advertised.
        own: whether those of the node itself are connected to, too.
        on_change: called when the number of those that can be used has changed.
        on_connected: called when one is connected.
        on_lost: called with `"lost"` or `"withdrawn"` when it no longer is.
    """

    def __init__(
        self,
        runtime: Runtime,
        kind: SocketKind,
        topic: str,
        make: Make[C],
        *,
        given: list[str],
        own: bool = True,
        on_change: Callable[[], None],
        on_connected: Callable[[C], None],
        on_lost: Callable[[C, str], None],
    ) -> None:
        self._runtime = runtime
        self._make = make
        self._own = own
        self._given = [(plain_peer(endpoint, kind), endpoint) for endpoint in given]
        self._on_usable_changed = on_change
        self._on_connected = on_connected
        self._on_lost = on_lost
        self._reports: ConnectionReports[C] = ConnectionReports(self._connected, self._lost, self._ended)
        self._watch = Watch(kind, topic, self._on_change)
        self._all: dict[str, C] = {}
        self._usable: deque[C] = deque()
        self._seeking: dict[bytes, Advertisement] = {}
        self._retired: set[C] = set()
        self._closed = False

    @property
    def connected(self) -> list[C]:
        """Those that can be used."""
        return list(self._usable)

    @property
    def known(self) -> list[Advertisement]:
        """The peers that are known, connected or not."""
        return [connection.peer for connection in self._all.values()]

    @property
    def all(self) -> list[C]:
        """The connections and the attempts at one."""
        return list(self._all.values())

    def open(self) -> None:
        """Connect to what is given and, from now on, to what is discovered."""
        for peer, endpoint in self._given:
            self._add(peer, endpoint)
        self._runtime.watch(self._watch)
        self._runtime.followers[self] = None

    def close(self) -> None:
        """Leave all; nothing is reported."""
        self._closed = True
        self._runtime.registry.unwatch(self._watch)
        self._runtime.followers.pop(self, None)
        for connection in (*self._all.values(), *self._retired):
            connection.close()

    def follow(self, scope: Scope) -> None:
        """Connect anew where the host has lost the address that the connection came from."""
        del scope
        for connection in list(self._all.values()):
            if is_cut_off(self._runtime, connection.endpoint):
                connection.renew()

    def _on_change(self, change: DirectoryChange, peer: Advertisement) -> None:
        if self._closed or (not self._own and peer.node_id == self._runtime.uuid.bytes):
            return
        connection = self._find(peer)
        self._seeking.pop(peer.socket_id, None)
        if change is DirectoryChange.UP:
            self._seeking[peer.socket_id] = peer
            self._runtime.find(
                peer,
                partial(self._met, peer),
                taken=self._all,
                before=connection.endpoint if connection is not None else None,
                connected=lambda: connection in self._usable,
            )
        elif connection is not None and change is DirectoryChange.LOST:
            connection.park(partial(self._on_change, DirectoryChange.DOWN, peer))
        elif connection is not None:
            self._set_unusable(connection)
            connection.leave()

    def _find(self, peer: Advertisement) -> C | None:
        return next((one for one in self._all.values() if one.peer.socket_id == peer.socket_id), None)

    def _met(self, peer: Advertisement, endpoint: str) -> None:
        """It has been found where the peer can be met, if it is still there and has not changed meanwhile."""
        if self._closed or self._seeking.get(peer.socket_id) is not peer:
            return
        del self._seeking[peer.socket_id]
        connection = self._find(peer)
        if connection is not None and connection.endpoint == endpoint:
            if connection.stay(peer):
                self._set_usable(connection)
            return
        for old in (connection, self._all.get(endpoint)):
            if old is not None:
                del self._all[old.endpoint]
                self._set_unusable(old)
                self._retired.add(old)
                old.end()
        if not self._closed and endpoint not in self._all:
            self._add(peer, endpoint)

    def _add(self, peer: Advertisement, endpoint: str) -> None:
        self._all[endpoint] = self._make(peer, endpoint, self._reports)

    def _connected(self, connection: C) -> None:
        self._set_usable(connection)
        self._on_connected(connection)

    def _lost(self, connection: C, reason: str) -> None:
        self._set_unusable(connection)
        self._on_lost(connection, reason)

    def _ended(self, connection: C) -> None:
        self._retired.discard(connection)
        if self._all.get(connection.endpoint) is connection:
            del self._all[connection.endpoint]

    def _set_usable(self, connection: C) -> None:
        self._usable.append(connection)
        self._on_usable_changed()

    def _set_unusable(self, connection: C) -> None:
        if connection in self._usable:
            self._usable.remove(connection)
            self._on_usable_changed()
