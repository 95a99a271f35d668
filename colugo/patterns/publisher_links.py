"""A subscriber's connections to its publishers."""

from collections.abc import Callable

from colugo.net.addresses import choose_endpoint
from colugo.net.connector import Connector
from colugo.net.directory import Change
from colugo.net.registry import Watch
from colugo.net.runtime import Runtime
from colugo.patterns.links import Link, doubt_if_silent, leave_later, plain_peer
from colugo.protocol.advertisement import Advertisement, Framing, Kind
from colugo.protocol.frames import READER_PREFIX

_MAX_EARLY = 256
OnFrames = Callable[[list[bytes]], None]


class PublisherLinks:
    """The links of one subscriber, on two sockets at most: one for our frames, one for plain ones.

    A publisher of ours is connected when its welcome has come: from then on its messages do. A plain
    one is connected when ZeroMQ's handshake is done.

    Args:
        runtime: the node's.
        topic: a topic or pattern.
        reader_id: the subscriber's id, under which publishers answer it.
        given: endpoints of plain publishers.
        on_frames: gets the frames of our publishers.
        on_raw: gets the frames of plain publishers.
        on_connected: called when a publisher is connected.
        on_disconnected: called with `"lost"` or `"withdrawn"` when it no longer is.
    """

    def __init__(
        self,
        runtime: Runtime,
        topic: str,
        reader_id: bytes,
        given: list[str],
        *,
        on_frames: OnFrames,
        on_raw: OnFrames,
        on_connected: Callable[[Link], None],
        on_disconnected: Callable[[Link, str], None],
    ) -> None:
        self._runtime = runtime
        self._reader_id = reader_id
        self._given = [(plain_peer(endpoint, Kind.PUBLISHER), endpoint) for endpoint in given]
        self._on_frames = on_frames
        self._on_raw = on_raw
        self._on_connected = on_connected
        self._on_disconnected = on_disconnected
        self._watch = Watch(Kind.PUBLISHER, topic, self._on_change)
        self._links: dict[str, Link] = {}
        self._early: set[bytes] = set()
        self._closed = False
        self._framed: Connector | None = None
        self._raw: Connector | None = None
        self.by_id: dict[bytes, Link] = {}
        """The links to our publishers, by the id that their frames carry."""

    @property
    def connected(self) -> list[Advertisement]:
        """The publishers that are connected now."""
        return [link.peer for link in self._links.values() if link.connected]

    def open(self) -> None:
        """Connect to what is given and, from now on, to what is discovered."""
        for peer, endpoint in self._given:
            self._add(Link(peer, endpoint))
        self._runtime.watch(self._watch)
        # while the directory waits for answers, so that connecting to the first one takes less
        self._runtime.loop.add_callback(self._prepare)

    def close(self) -> None:
        """Leave all; nothing is reported."""
        self._closed = True
        self._runtime.registry.unwatch(self._watch)
        for link in self._links.values():
            link.cancel_timer()
        for connector in (self._framed, self._raw):
            if connector is not None:
                connector.close()

    def welcomed(self, publisher: bytes) -> None:
        """Take in that a publisher has answered this reader."""
        link = self.by_id.get(publisher)
        if link is not None:
            self._connected(link)
        elif len(self._early) < _MAX_EARLY:
            self._early.add(publisher)  # restarted on its port: its advertisement comes soon

    def plain_sender(self) -> Advertisement | None:
        """Who sent a plain message: known only if there is just one plain publisher."""
        peers = [link.peer for link in self._links.values() if link.peer.framing is Framing.RAW]
        return peers[0] if len(peers) == 1 else None

    def _on_change(self, change: Change, peer: Advertisement) -> None:
        if change is Change.UP:
            endpoint = choose_endpoint(peer, self._runtime.scope)
            if endpoint is not None:
                self._found(Link(peer, endpoint))
            return
        link = self._find(peer)
        if link is not None and link.connected:
            leave_later(link, self._drop)
        elif link is not None:
            self._drop(link)

    def _find(self, peer: Advertisement) -> Link | None:
        return next((link for link in self._links.values() if link.peer.socket_id == peer.socket_id), None)

    def _found(self, link: Link) -> None:
        before = self._find(link.peer)
        if before is not None and before.endpoint == link.endpoint:
            before.peer = link.peer
            before.leaving = False
            return
        for old in (before, self._links.get(link.endpoint)):
            if old is not None:
                self._drop(old)
        self._add(link)

    def _add(self, link: Link) -> None:
        self._links[link.endpoint] = link
        connector = self._connector(link.peer.framing)
        if link.peer.framing is Framing.COLUGO:
            self.by_id[link.peer.socket_id] = link
        if link.peer.topic:
            doubt_if_silent(self._runtime, link)
        connector.connect(link.endpoint)
        if link.peer.socket_id in self._early:
            self._early.discard(link.peer.socket_id)
            self._connected(link)

    def _drop(self, link: Link) -> None:
        link.cancel_timer()
        if self._links.get(link.endpoint) is not link:
            return
        self._connector(link.peer.framing).disconnect(link.endpoint)
        del self._links[link.endpoint]
        self.by_id.pop(link.peer.socket_id, None)
        if link.connected:
            self._disconnected(link, "withdrawn")

    def _connector(self, framing: Framing) -> Connector:
        if framing is Framing.RAW:
            if self._raw is None:
                self._raw = self._make_connector(self._on_raw, self._raw_connected)
                self._raw.socket.send(b"\x01")
            return self._raw
        if self._framed is None:
            self._framed = self._make_connector(self._on_frames, _wait_for_welcome)
            self._framed.socket.send(b"\x01" + READER_PREFIX + self._reader_id)
        return self._framed

    def _make_connector(self, on_message: OnFrames, on_connected: Callable[[str], None]) -> Connector:
        sockets = self._runtime.sockets
        return Connector(
            self._runtime.loop,
            sockets,
            sockets.xsub(),
            on_message=on_message,
            on_connected=on_connected,
            on_lost=self._lost,
        )

    def _prepare(self) -> None:
        if not self._closed:
            self._connector(Framing.COLUGO)

    def _raw_connected(self, endpoint: str) -> None:
        link = self._links.get(endpoint)
        if link is not None:
            self._connected(link)

    def _connected(self, link: Link) -> None:
        if not link.connected:
            link.connected = True
            if not link.leaving:
                link.cancel_timer()
            self._on_connected(link)

    def _lost(self, endpoint: str) -> None:
        link = self._links.get(endpoint)
        if link is None:
            return
        if link.leaving:
            self._drop(link)
            return
        if link.connected:
            self._disconnected(link, "lost")
        if link.peer.topic:
            self._runtime.suspect(link.peer)
            doubt_if_silent(self._runtime, link)

    def _disconnected(self, link: Link, reason: str) -> None:
        link.connected = False
        self._on_disconnected(link, reason)


def _wait_for_welcome(endpoint: str) -> None:
    """A handshake alone does not tell that the reader's subscription is in force."""
