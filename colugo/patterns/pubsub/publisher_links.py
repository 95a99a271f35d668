"""A subscriber's connections to its publishers."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import zmq

from colugo.net.addresses.interfaces import Scope
from colugo.net.directory import DirectoryChange
from colugo.net.registry import Watch
from colugo.net.runtime import Runtime
from colugo.net.transport.connector import Connector
from colugo.net.transport.socket_reader import MoreToRead
from colugo.patterns.connections.link import Link, doubt_if_silent, is_cut_off, park, plain_peer
from colugo.protocol.advertisement import Advertisement, Framing, SocketKind
from colugo.protocol.pubsub.publications import READER_PREFIX, Publication

_MAX_EARLY = 16
_MAX_EARLY_BYTES = 4 * 1024 * 1024
_KEPT_BYTES = 200
_EARLY_WAIT_S = 5.0
"""How long what a publisher sends is kept, until its advertisement comes."""


class PublisherLinks:
    """The links of one subscriber: one socket for all publishers of ours, one for each plain one.

    A publisher of ours is connected when its welcome has come: from then on its messages do. A plain
    one is connected when ZeroMQ's handshake is done. One that is no longer advertised stays connected
    as long as its connection lasts, so that what it has sent arrives.

    Args:
        runtime: the node's.
        topic: a topic or pattern.
        reader_id: the subscriber's id, under which publishers answer it.
        given: endpoints of plain publishers.
        on_frames: gets the frames of our publishers.
        on_raw: gets the frames of plain publishers, and the link they came by.
        on_early: gets batches of a publisher that came before its advertisement.
        on_unknown: gets the number of messages of a publisher whose advertisement never came.
        on_connected: called when a publisher is connected.
        on_disconnected: called with `"lost"` or `"withdrawn"` when it no longer is.
        on_gone: called with the id of a publisher of ours that is not coming back.
        read_so_far: gives a number that grows as long as something comes from the publisher with that id.
        copy: whether frames are bytes, else `zmq.Frame`.
    """

    def __init__(
        self,
        runtime: Runtime,
        topic: str,
        reader_id: bytes,
        given: list[str],
        *,
        on_frames: Callable[[list[Any]], MoreToRead | None],
        on_raw: Callable[[Link, list[Any]], None],
        on_early: Callable[[Publication, Link], None],
        on_unknown: Callable[[int], None],
        on_connected: Callable[[Link], None],
        on_disconnected: Callable[[Link, str], None],
        on_gone: Callable[[bytes], None],
        read_so_far: Callable[[bytes], int],
        copy: bool,
    ) -> None:
        self._runtime = runtime
        self._reader_id = reader_id
        self._given = [(plain_peer(endpoint, SocketKind.PUBLISHER), endpoint) for endpoint in given]
        self._on_frames = on_frames
        self._on_raw = on_raw
        self._on_early = on_early
        self._on_unknown = on_unknown
        self._on_connected = on_connected
        self._on_disconnected = on_disconnected
        self._on_gone = on_gone
        self._read_so_far = read_so_far
        self._copy = copy
        self._watch = Watch(SocketKind.PUBLISHER, topic, self._on_change)
        self._links: dict[str, Link] = {}
        self._seeking: dict[bytes, Advertisement] = {}
        self._moving: dict[bytes, Advertisement] = {}
        self._early: dict[bytes, list[Publication]] = {}
        self._early_bytes = 0
        self._framed: Connector | None = None
        self._raw: dict[str, Connector] = {}
        self._closed = False
        self.by_id: dict[bytes, Link] = {}
        """The links to our publishers, by the id that their frames carry."""

    @property
    def connected(self) -> list[Advertisement]:
        """The publishers that are connected now."""
        return [link.peer for link in self._links.values() if link.connected]

    @property
    def all(self) -> list[Link]:
        """The connections and the attempts at one."""
        return list(self._links.values())

    def open(self) -> None:
        """Connect to what is given and, from now on, to what is discovered."""
        for peer, endpoint in self._given:
            self._add(Link(peer, endpoint))
        self._runtime.watch(self._watch)
        self._runtime.followers[self] = None
        # while the directory waits for answers, so that connecting to the first one takes less
        self._runtime.loop.add_callback(self._prepare)

    def close(self) -> None:
        """Leave all; nothing is reported."""
        self._closed = True
        self._runtime.registry.unwatch(self._watch)
        self._runtime.followers.pop(self, None)
        for link in self._links.values():
            link.cancel_timer()
        for connector in (self._framed, *self._raw.values()):
            if connector is not None:
                connector.close()

    def follow(self, scope: Scope) -> None:
        """Connect anew where the host has lost the address that the connection came from."""
        del scope
        for link in list(self._links.values()):
            connector = self._connector(link)
            if is_cut_off(self._runtime, link.endpoint) and connector.is_up(link.endpoint):
                connector.disconnect(link.endpoint)
                connector.connect(link.endpoint)
                self._lost(link.endpoint)

    def welcomed(self, publisher: bytes) -> bool:
        """Take in that a publisher has answered this reader; whether it is one, or will soon be."""
        link = self.by_id.get(publisher)
        if link is not None:
            self._connected(link)
            return True
        # restarted on its port: its advertisement comes soon
        if publisher not in self._early and len(self._early) < _MAX_EARLY:
            self._early[publisher] = []
            self._runtime.loop.call_later(_EARLY_WAIT_S, self._forget_early, publisher)
        return publisher in self._early

    def say(self, frames: Iterable[bytes]) -> None:
        """Send messages to all publishers of ours."""
        if self._framed is not None and not self._closed:  # a callback may have closed it
            for frame in frames:
                self._framed.socket.send(frame, zmq.NOBLOCK)
            self._framed.kick()

    def resume(self) -> None:
        """Go on with reading what has been left."""
        if self._framed is not None:
            self._framed.resume()

    def keep_early(self, publication: Publication) -> bool:
        """Keep a batch of a publisher whose advertisement has not come yet; whether there was room."""
        batches = self._early.get(publication.publisher)
        size = _memory(publication)
        if batches is None or self._early_bytes + size > _MAX_EARLY_BYTES:
            return False
        self._early_bytes += size
        batches.append(publication)
        return True

    def _forget_early(self, publisher: bytes) -> list[Publication]:
        batches = self._early.pop(publisher, [])
        self._early_bytes -= sum(map(_memory, batches))
        if publisher not in self.by_id:
            self._on_unknown(sum(len(batch.lengths) for batch in batches))
            self._on_gone(publisher)
        return batches

    def _on_change(self, change: DirectoryChange, peer: Advertisement) -> None:
        if self._closed:
            return
        link = self._find(peer)
        self._seeking.pop(peer.socket_id, None)
        self._moving.pop(peer.socket_id, None)
        if change is DirectoryChange.UP:
            self._seeking[peer.socket_id] = peer
            self._runtime.find(
                peer,
                partial(self._met, peer),
                taken=self._links,
                before=link.endpoint if link is not None else None,
                connected=lambda: link is not None and link.connected,
            )
        elif link is not None and change is DirectoryChange.LOST:
            self._park(link)
        elif link is not None:
            link.leaving = True
            if not self._connector(link).is_up(link.endpoint):
                self._drop(link)

    def _park(self, link: Link) -> None:
        if link.connected:  # nothing has been lost on this way
            self._runtime.vouch(link.peer)
        elif not link.leaving:
            park(link, partial(self._on_change, DirectoryChange.DOWN, link.peer))

    def _met(self, peer: Advertisement, endpoint: str) -> None:
        """It has been found where the peer can be met, if it is still there and has not changed meanwhile."""
        if not self._closed and self._seeking.get(peer.socket_id) is peer:
            del self._seeking[peer.socket_id]
            self._found(peer, endpoint, self._find(peer))

    def _find(self, peer: Advertisement) -> Link | None:
        return next((link for link in self._links.values() if link.peer.socket_id == peer.socket_id), None)

    def _found(self, peer: Advertisement, endpoint: str, before: Link | None) -> None:
        if before is not None and before.endpoint == endpoint:
            before.peer = peer
            before.leaving = before.parked = False
            if not before.connected:
                doubt_if_silent(self._runtime, before, self._rejoin)
            return
        if before is not None:  # one connection at a time: what is acknowledged counts for both
            self._moving[peer.socket_id] = peer
            self._drop(before)
            return
        occupant = self._links.get(endpoint)
        if occupant is not None and occupant.peer.framing is peer.framing:
            self._succeed(occupant, Link(peer, endpoint))
            return
        if occupant is not None:
            self._drop(occupant)
        if not self._closed and endpoint not in self._links:
            self._add(Link(peer, endpoint))

    def _succeed(self, old: Link, new: Link) -> None:
        """A new socket on the port of an old one: ZeroMQ has connected to it, or will by itself."""
        old.cancel_timer()
        self._links[new.endpoint] = new
        if new.peer.framing is Framing.COLUGO:
            self.by_id[new.peer.socket_id] = new
        self._end(old, "lost")
        if self._closed:
            return
        doubt_if_silent(self._runtime, new, self._rejoin)
        if self._connector(new).is_up(new.endpoint) and (
            new.peer.framing is Framing.RAW or new.peer.socket_id in self._early
        ):
            self._connected(new)

    def _add(self, link: Link) -> None:
        self._links[link.endpoint] = link
        if link.peer.framing is Framing.COLUGO:
            self.by_id[link.peer.socket_id] = link
        doubt_if_silent(self._runtime, link, self._rejoin)
        self._connector(link).connect(link.endpoint)

    def _drop(self, link: Link) -> None:
        """Leave it, after reading what has come from it."""
        link.leaving = True
        link.cancel_timer()
        self._connector(link).read_to_end(
            partial(self._leave, link), partial(self._read_so_far, link.peer.socket_id)
        )

    def _leave(self, link: Link) -> None:
        if self._links.get(link.endpoint) is not link or not link.leaving:
            return
        del self._links[link.endpoint]
        self._connector(link).disconnect(link.endpoint)
        raw = self._raw.pop(link.endpoint, None)
        if raw is not None:
            raw.close()
        moved = self._moving.get(link.peer.socket_id)
        if moved is None:
            self._end(link, "withdrawn")
            return
        # it has not been withdrawn since: its stream goes on, and what is lost between is counted
        self._end(link, "lost", comes_back=True)
        self._on_change(DirectoryChange.UP, moved)

    def _rejoin(self, link: Link) -> None:
        """A connection without a welcome: one that came too early, and was forgotten. Ask for another."""
        connector = self._connector(link)
        if link.peer.framing is Framing.COLUGO and connector.is_up(link.endpoint):
            connector.disconnect(link.endpoint)
            connector.connect(link.endpoint)

    def _end(self, link: Link, reason: str, *, comes_back: bool = False) -> None:
        if self.by_id.get(link.peer.socket_id) is link:  # not one that has followed it
            del self.by_id[link.peer.socket_id]
        if link.connected:
            self._disconnected(link, reason)
        if link.peer.framing is Framing.COLUGO and not comes_back:
            self._on_gone(link.peer.socket_id)

    def _connector(self, link: Link) -> Connector:
        if link.peer.framing is Framing.RAW:
            if link.endpoint not in self._raw:
                connector = self._make(
                    partial(self._receive_raw, link.endpoint), self._raw_connected, link.endpoint
                )
                connector.socket.send(b"\x01")
                self._raw[link.endpoint] = connector
            return self._raw[link.endpoint]
        return self._framed_connector()

    def _make(
        self,
        on_message: Callable[[list[Any]], MoreToRead | None],
        on_connected: Callable[[str], None],
        sole_endpoint: str | None = None,
    ) -> Connector:
        sockets = self._runtime.sockets
        return Connector(
            self._runtime.loop,
            sockets,
            sockets.xsub(),
            on_message=on_message,
            on_connected=on_connected,
            on_lost=self._lost,
            sole_endpoint=sole_endpoint,
            copy=self._copy,
        )

    def _prepare(self) -> None:
        if not self._closed:
            self._framed_connector()

    def _framed_connector(self) -> Connector:
        if self._framed is None:
            self._framed = self._make(self._on_frames, _wait_for_welcome)
            self._framed.socket.send(b"\x01" + READER_PREFIX + self._reader_id)
        return self._framed

    def _receive_raw(self, endpoint: str, frames: list[bytes]) -> None:
        link = self._links.get(endpoint)
        if link is not None:
            self._on_raw(link, frames)

    def _raw_connected(self, endpoint: str) -> None:
        link = self._links.get(endpoint)
        if link is not None:
            self._connected(link)

    def _connected(self, link: Link) -> None:
        if link.connected:
            return
        link.set_connected(connected=True)
        link.cancel_timer()
        if link.parked:
            link.parked = False
            self._runtime.vouch(link.peer)
        early = self._forget_early(link.peer.socket_id)
        self._on_connected(link)
        for publication in early:
            self._on_early(publication, link)

    def _lost(self, endpoint: str) -> None:
        link = self._links.get(endpoint)
        if link is None:
            return
        if link.leaving:
            self._drop(link)
            return
        if link.connected:
            self._disconnected(link, "lost")
        if link.advertised:
            self._runtime.routes.forget(link.peer)
            self._runtime.suspect(link.peer)
            doubt_if_silent(self._runtime, link, self._rejoin, soon=True)

    def _disconnected(self, link: Link, reason: str) -> None:
        link.set_connected(connected=False)
        self._on_disconnected(link, reason)


def _memory(publication: Publication) -> int:
    """About how many bytes it takes to keep it."""
    return len(publication.body) + 8 * len(publication.lengths) + _KEPT_BYTES


def _wait_for_welcome(endpoint: str) -> None:
    """A handshake alone does not tell that the reader's subscription is in force."""
