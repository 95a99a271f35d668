"""The connections of a request client or surveyor to those it asks, and whose turn it is."""

from collections import deque
from collections.abc import Callable
from functools import partial

from colugo.errors import FrameError
from colugo.net.directory import Change
from colugo.net.reader import Rest
from colugo.net.registry import Watch
from colugo.net.runtime import Runtime
from colugo.patterns.links import plain_peer
from colugo.patterns.server_link import ServerLink
from colugo.protocol.advertisement import Advertisement, Kind
from colugo.protocol.calls import Call


class ServerLinks:
    """The links of one request client or surveyor.

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
        kind: Kind,
        topic: str,
        given: list[str],
        *,
        own: bool = True,
        on_change: Callable[[], None],
        on_connected: Callable[[ServerLink], None],
        on_lost: Callable[[ServerLink, str], None],
        on_replies: Callable[[ServerLink, list[Call]], Rest | None],
        on_drained: Callable[[], None],
        on_malformed: Callable[[ServerLink, FrameError], None],
    ) -> None:
        self._runtime = runtime
        self._own = own
        self._given = [(plain_peer(endpoint, kind), endpoint) for endpoint in given]
        self._on_change_of_ring = on_change
        self._on_connected = on_connected
        self._on_lost = on_lost
        self._on_replies = on_replies
        self._on_drained = on_drained
        self._on_malformed = on_malformed
        self._watch = Watch(kind, topic, self._on_change)
        self._links: dict[str, ServerLink] = {}
        self._ring: deque[ServerLink] = deque()
        self._seeking: dict[bytes, Advertisement] = {}
        self._retired: set[ServerLink] = set()
        self._closed = False

    @property
    def connected(self) -> list[ServerLink]:
        """The links that can take requests."""
        return list(self._ring)

    @property
    def known(self) -> list[Advertisement]:
        """The servers that are known, connected or not."""
        return [link.peer for link in self._links.values()]

    @property
    def all(self) -> list[ServerLink]:
        """The connections and the attempts at one."""
        return list(self._links.values())

    def open(self) -> None:
        """Connect to what is given and, from now on, to what is discovered."""
        for peer, endpoint in self._given:
            self._add(peer, endpoint)
        self._runtime.watch(self._watch)

    def close(self) -> None:
        """Leave all; nothing is reported."""
        self._closed = True
        self._runtime.registry.unwatch(self._watch)
        for link in (*self._links.values(), *self._retired):
            link.close()

    def next_in_turn(self) -> ServerLink | None:
        """The server whose turn it is (round robin), or None if none is connected."""
        if not self._ring:
            return None
        link = self._ring[0]
        self._ring.rotate(-1)
        return link

    def least(self, load: Callable[[ServerLink], int]) -> ServerLink | None:
        """The server with the least load, the longest unused of equals; None if none is connected."""
        if not self._ring:
            return None
        link = min(self._ring, key=load)
        self._ring.remove(link)
        self._ring.append(link)
        return link

    def _on_change(self, change: Change, peer: Advertisement) -> None:
        if self._closed or (not self._own and peer.node_id == self._runtime.uuid.bytes):
            return
        link = self._find(peer)
        self._seeking.pop(peer.socket_id, None)
        if change is Change.UP:
            self._seeking[peer.socket_id] = peer
            self._runtime.find(
                peer,
                partial(self._met, peer),
                taken=self._links,
                before=link.endpoint if link is not None else None,
                connected=link is not None and link in self._ring,
            )
        elif link is not None and change is Change.LOST:
            link.park(partial(self._on_change, Change.DOWN, peer))
        elif link is not None:
            self._leave_ring(link)
            link.leave()

    def _find(self, peer: Advertisement) -> ServerLink | None:
        return next((one for one in self._links.values() if one.peer.socket_id == peer.socket_id), None)

    def _met(self, peer: Advertisement, endpoint: str) -> None:
        """It has been found where the peer can be met, if it is still there and has not changed meanwhile."""
        if self._closed or self._seeking.get(peer.socket_id) is not peer:
            return
        del self._seeking[peer.socket_id]
        link = self._find(peer)
        if link is not None and link.endpoint == endpoint:
            if link.stay(peer):
                self._enter_ring(link)
            return
        for old in (link, self._links.pop(endpoint, None)):
            if old is not None:
                self._leave_ring(old)
                self._retired.add(old)
                old.end()
        if not self._closed and endpoint not in self._links:
            self._add(peer, endpoint)

    def _add(self, peer: Advertisement, endpoint: str) -> None:
        self._links[endpoint] = ServerLink(
            self._runtime,
            peer,
            endpoint,
            on_connected=self._connected,
            on_lost=self._lost,
            on_ended=self._ended,
            on_replies=self._on_replies,
            on_drained=self._on_drained,
            on_malformed=self._on_malformed,
        )

    def _connected(self, link: ServerLink) -> None:
        self._enter_ring(link)
        self._on_connected(link)

    def _lost(self, link: ServerLink, reason: str) -> None:
        self._leave_ring(link)
        self._on_lost(link, reason)

    def _ended(self, link: ServerLink) -> None:
        self._retired.discard(link)
        if self._links.get(link.endpoint) is link:
            del self._links[link.endpoint]

    def _enter_ring(self, link: ServerLink) -> None:
        self._ring.append(link)
        self._on_change_of_ring()

    def _leave_ring(self, link: ServerLink) -> None:
        if link in self._ring:
            self._ring.remove(link)
            self._on_change_of_ring()
