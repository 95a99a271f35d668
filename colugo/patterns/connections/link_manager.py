"""Connections to the advertised sockets of a topic, kept in step with the directory."""

from functools import partial
from typing import Generic, TypeVar

from colugo.net.addresses.interfaces import Scope
from colugo.net.directory import DirectoryChange
from colugo.net.registry import Watch
from colugo.net.runtime import Runtime
from colugo.patterns.connections.link import Link, is_cut_off, plain_peer
from colugo.protocol.advertisement import Advertisement, SocketKind

L = TypeVar("L", bound=Link)


class LinkManager(Generic[L]):
    """The base of a part's links to all sockets of a kind and topic: at most one for each endpoint.

    The manager follows the directory. It finds the endpoint of each advertised peer and connects there, keeps
    a link when its peer is advertised again, parks it when the peer's host is cut off, and leaves it when the
    peer withdraws. Subclasses decide how to connect, and what happens to a link in the way of another.

    Args:
        runtime: the node's runtime.
        kind: the kind of socket to connect to.
        topic: the topic or pattern.
        given: endpoints of plain peers, which are not advertised.
        own: True to connect to sockets of the same node, too.
    """

    def __init__(
        self, runtime: Runtime, kind: SocketKind, topic: str, given: list[str], *, own: bool = True
    ) -> None:
        self._runtime = runtime
        self._own = own
        self._given = [(plain_peer(endpoint, kind), endpoint) for endpoint in given]
        self._watch = Watch(kind, topic, self._on_change)
        self._all: dict[str, L] = {}
        self._seeking: dict[bytes, Advertisement] = {}
        self._closed = False

    @property
    def all(self) -> list[L]:
        """The connections and the attempts at one."""
        return list(self._all.values())

    @property
    def known(self) -> list[Advertisement]:
        """The known peers, connected or not."""
        return [link.peer for link in self._all.values()]

    def open(self) -> None:
        """Connect to the given peers and, from now on, to discovered ones."""
        for peer, endpoint in self._given:
            self._connect(peer, endpoint)
        self._runtime.watch(self._watch)
        self._runtime.add_scope_listener(self)

    def close(self) -> None:
        """Close all links without reporting them as lost."""
        self._closed = True
        self._runtime.registry.unwatch(self._watch)
        self._runtime.remove_scope_listener(self)

    def on_scope_change(self, scope: Scope) -> None:
        """Reconnect links whose local address the host has lost."""
        del scope
        for link in self.all:
            if is_cut_off(self._runtime, link.endpoint):
                self._reconnect(link)

    def _connect(self, peer: Advertisement, endpoint: str) -> None:
        """Override to enter a link to an endpoint that has none, and begin to connect."""
        raise NotImplementedError

    def _reconnect(self, link: L) -> None:
        """Override to replace a connection that is dead, if it was up."""
        raise NotImplementedError

    def _is_up(self, link: L) -> bool:
        """Override to return True if ZeroMQ has a connection to the link's endpoint."""
        raise NotImplementedError

    def _is_connected(self, link: L) -> bool:
        """Return True if the link can be used."""
        return link.connected

    def _end(self, link: L) -> None:
        """Override to read what has arrived, then close the link."""
        raise NotImplementedError

    def _make_room(self, link: L, peer: Advertisement, endpoint: str) -> bool:
        """Override to end a link to the peer at another endpoint, or to another peer at this endpoint.

        Returns:
            True if a new link to the peer may be made at once.
        """
        raise NotImplementedError

    def _on_change(self, change: DirectoryChange, peer: Advertisement) -> None:
        if self._closed or (not self._own and peer.node_id == self._runtime.uuid.bytes):
            return
        link = self._find(peer)
        self._forget(peer)
        if change is DirectoryChange.UP:
            self._seek(peer, link)
        elif link is not None and change is DirectoryChange.LOST:
            self._park(link)
        elif link is not None:
            self._leave(link)

    def _find(self, peer: Advertisement) -> L | None:
        return next((link for link in self._all.values() if link.peer.socket_id == peer.socket_id), None)

    def _forget(self, peer: Advertisement) -> None:
        """Discard what an earlier advertisement of the peer has begun."""
        self._seeking.pop(peer.socket_id, None)

    def _seek(self, peer: Advertisement, link: L | None) -> None:
        self._seeking[peer.socket_id] = peer
        self._runtime.endpoint_choice.find(
            peer,
            self._runtime.scope,
            partial(self._on_found, peer),
            taken=self._all,
            before=link.endpoint if link is not None else None,
            connected=lambda: link is not None and self._is_connected(link),
        )

    def _on_found(self, peer: Advertisement, endpoint: str) -> None:
        """Connect to the peer at an endpoint, unless it has gone or changed during the search."""
        if self._closed or self._seeking.get(peer.socket_id) is not peer:
            return
        del self._seeking[peer.socket_id]
        before = self._find(peer)
        if before is not None and before.endpoint == endpoint:
            self._keep(before, peer)
            return
        for link in (before, self._all.get(endpoint)):
            if link is not None and not self._make_room(link, peer, endpoint):
                return
        if not self._closed and endpoint not in self._all:
            self._connect(peer, endpoint)

    def _keep(self, link: L, peer: Advertisement) -> None:
        """Keep a link whose peer is advertised again at the same endpoint."""
        link.peer = peer
        waits = (link.leaving or link.parked) and not link.connected
        link.leaving = link.parked = False
        if waits:
            link.renew()
            link.await_answer()

    def _park(self, link: L) -> None:
        if link.connected:  # the way that was lost is another one
            self._runtime.vouch(link.peer)
        elif not link.leaving:
            link.park(partial(self._on_change, DirectoryChange.DOWN, link.peer))

    def _leave(self, link: L) -> None:
        """Read from a peer that has withdrawn as long as its connection lasts."""
        link.leaving = True
        link.cancel_timer()
        if not self._is_up(link):
            self._end(link)
