"""A subscriber's connections to its publishers."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Protocol

import zmq

from colugo.net.directory import DirectoryChange
from colugo.net.runtime import Runtime
from colugo.net.transport.connector import Connector, ConnectorListener
from colugo.net.transport.socket_reader import MoreToRead
from colugo.patterns.connections.link import Link
from colugo.patterns.connections.link_manager import LinkManager
from colugo.protocol.advertisement import Advertisement, Framing, SocketKind
from colugo.protocol.pubsub.early_publications import EarlyPublications
from colugo.protocol.pubsub.publications import SUBSCRIBER_PREFIX, Publication

_EARLY_WAIT_S = 5.0
"""How long the frames of a publisher wait for its advertisement."""


class PublisherLink(Link):
    """A connection to one publisher.

    Args:
        runtime: the node's runtime.
        peer: the publisher.
        endpoint: the publisher's endpoint.
        make_connector: returns the socket, which framed publishers share.

    Attributes:
        framed: True if the publisher sends colugo's frames, False if it is a plain ZeroMQ one.
    """

    def __init__(
        self,
        runtime: Runtime,
        peer: Advertisement,
        endpoint: str,
        make_connector: Callable[["PublisherLink"], Connector],
    ) -> None:
        super().__init__(runtime, peer, endpoint)
        self.framed = peer.framing is Framing.COLUGO
        self._make_connector = make_connector
        self._connector: Connector | None = None

    @property
    def connector(self) -> Connector:
        """The socket; made anew each time until that succeeds, which it may not without free descriptors."""
        if self._connector is None:
            self._connector = self._make_connector(self)
        return self._connector

    @property
    def up(self) -> bool:
        """True if ZeroMQ has a connection to the publisher."""
        return self._connector is not None and self._connector.is_up(self.endpoint)

    def close(self) -> None:
        """Close the socket, if there is one."""
        if self._connector is not None:
            self._connector.close()

    def reconnect(self) -> None:
        """Replace the connection."""
        self.connector.disconnect(self.endpoint)
        self.connector.connect(self.endpoint)

    def renew(self) -> None:
        """Replace the attempt to connect, which may have to wait for TCP's next SYN (1 s, RFC 6298)."""
        if not self.up:
            self.reconnect()

    def retry(self) -> None:
        """Ask for another welcome, if the first came too early; connect, if that has failed."""
        if self._connector is None:
            self.connector.connect(self.endpoint)
        elif self.framed and self.up:
            self.reconnect()


class PublisherListener(Protocol):
    """The receiver of the frames that come by the links."""

    def on_frames(self, frames: list[Any]) -> MoreToRead | None:
        """Take a message of a framed publisher; may return the rest of the work."""

    def on_raw(self, link: PublisherLink, frames: list[Any]) -> None:
        """Take a message of a plain publisher."""

    def on_early(self, publication: Publication, link: PublisherLink) -> None:
        """Take a batch that came before the publisher's advertisement."""

    def on_unknown(self, count: int) -> None:
        """Count messages of a publisher whose advertisement never came."""

    def on_connected(self, link: PublisherLink) -> None:
        """Take note of a connected publisher."""

    def on_disconnected(self, link: PublisherLink, reason: str) -> None:
        """Take note of a publisher that is `"lost"` or `"withdrawn"`."""

    def on_gone(self, publisher: bytes) -> None:
        """Forget a framed publisher that is not coming back, by its id."""

    def expected_from(self, publisher: bytes) -> int:
        """Return a number that grows with each message of a framed publisher."""


class PublisherLinks(LinkManager[PublisherLink]):
    """The links of one subscriber: one XSUB for all framed publishers, one for each plain publisher.

    A framed publisher is connected when its welcome has come, because from then on its messages arrive. A
    plain publisher is connected after ZeroMQ's handshake. A publisher that is no longer advertised stays
    connected as long as its connection lasts, so that the subscriber receives everything it has sent.

    Args:
        runtime: the node's runtime.
        topic: a topic or pattern.
        subscriber_id: the subscriber's id, to which publishers send their welcome.
        given: endpoints of plain publishers.
        listener: the receiver of the frames.
        copy: True to receive frames as bytes, False as `zmq.Frame`.
    """

    def __init__(
        self,
        runtime: Runtime,
        topic: str,
        subscriber_id: bytes,
        given: list[str],
        listener: PublisherListener,
        *,
        copy: bool,
    ) -> None:
        super().__init__(runtime, SocketKind.PUBLISHER, topic, given)
        self._subscriber_id = subscriber_id
        self._listener = listener
        self._copy = copy
        self._moving: dict[bytes, Advertisement] = {}
        self._early = EarlyPublications()
        self._framed: Connector | None = None
        self._take_raw = listener.on_raw
        self.on_message = listener.on_frames  # an attribute, which saves a call for each message
        self.by_id: dict[bytes, PublisherLink] = {}
        """The links to framed publishers, by the id in their frames."""

    @property
    def connected(self) -> list[Advertisement]:
        """The publishers that are connected now."""
        return [link.peer for link in self._all.values() if link.connected]

    def open(self) -> None:
        """Connect to the given publishers and, from now on, to discovered ones."""
        super().open()
        # while the directory waits for answers, so that connecting to the first publisher takes less time
        self._runtime.loop.add_callback(self._prepare)

    def close(self) -> None:
        """Close all links without reporting them as lost."""
        super().close()
        for link in self._all.values():
            link.cancel_timer()
            link.close()
        if self._framed is not None:
            self._framed.close()

    def on_connected(self, endpoint: str) -> None:
        """Enter a plain publisher as connected; a framed one only when its subscription is in force."""
        link = self._all.get(endpoint)
        if link is not None and not link.framed:
            self._mark_connected(link)

    def on_lost(self, endpoint: str) -> None:
        """Report the loss of a publisher, or end a link to one that has withdrawn."""
        link = self._all.get(endpoint)
        if link is None:
            return
        if link.leaving:
            self._end(link)
            return
        if link.connected:
            self._mark_disconnected(link, "lost")
        link.suspect()

    def on_raw(self, endpoint: str, frames: list[Any]) -> None:
        """Pass on a message of the plain publisher at an endpoint."""
        link = self._all.get(endpoint)
        if link is not None:
            self._take_raw(link, frames)

    def on_welcome(self, publisher: bytes) -> bool:
        """Enter a framed publisher as connected.

        Returns:
            True if the publisher is known, or may be advertised soon: it may have restarted on its port.
        """
        link = self.by_id.get(publisher)
        if link is not None:
            self._mark_connected(link)
            return True
        if self._early.expect(publisher):
            self._runtime.loop.call_later(_EARLY_WAIT_S, self._take_early, publisher)
        return publisher in self._early

    def send(self, frames: Iterable[bytes]) -> None:
        """Send messages to all framed publishers."""
        if self._framed is not None and not self._closed:  # a callback may have closed it
            for frame in frames:
                self._framed.socket.send(frame, zmq.NOBLOCK)
            self._framed.kick()

    def resume(self) -> None:
        """Read on after a pause."""
        if self._framed is not None:
            self._framed.resume()

    def keep_early(self, publication: Publication) -> bool:
        """Keep a batch until the advertisement of its publisher comes.

        Returns:
            False if no advertisement is expected or too much waits already.
        """
        return self._early.keep(publication)

    def _take_early(self, publisher: bytes) -> list[Publication]:
        """Remove the early batches of a publisher; count them if it is still unknown."""
        batches = self._early.take(publisher)
        if publisher not in self.by_id:
            self._listener.on_unknown(sum(len(batch.lengths) for batch in batches))
            self._listener.on_gone(publisher)
        return batches

    def _connect(self, peer: Advertisement, endpoint: str) -> None:
        link = PublisherLink(self._runtime, peer, endpoint, self._connector_of)
        self._enter(link)
        link.await_answer()
        link.connector.connect(endpoint)

    def _enter(self, link: PublisherLink) -> None:
        self._all[link.endpoint] = link
        if link.framed:
            self.by_id[link.peer.socket_id] = link

    def _reconnect(self, link: PublisherLink) -> None:
        if link.up:
            link.reconnect()
            self.on_lost(link.endpoint)

    def _is_up(self, link: PublisherLink) -> bool:
        return link.up

    def _keep(self, link: PublisherLink, peer: Advertisement) -> None:
        super()._keep(link, peer)
        if not link.connected:
            link.await_answer()

    def _forget(self, peer: Advertisement) -> None:
        super()._forget(peer)
        self._moving.pop(peer.socket_id, None)

    def _make_room(self, link: PublisherLink, peer: Advertisement, endpoint: str) -> bool:
        if link.peer.socket_id == peer.socket_id:
            # one connection at a time, because an acknowledgement would count for both
            self._moving[peer.socket_id] = peer
            self._end(link)
            return False
        if link.peer.framing is peer.framing:
            self._succeed(link, PublisherLink(self._runtime, peer, endpoint, lambda _: link.connector))
            return False
        self._end(link)
        return True

    def _succeed(self, old: PublisherLink, new: PublisherLink) -> None:
        """Replace the link to a socket whose port a new socket has: ZeroMQ connects to it by itself."""
        old.cancel_timer()
        self._enter(new)
        self._report_end(old, "lost")
        if self._closed:
            return
        new.await_answer()
        if new.up and (not new.framed or new.peer.socket_id in self._early):
            self._mark_connected(new)

    def _end(self, link: PublisherLink) -> None:
        link.leaving = True
        link.cancel_timer()
        link.connector.read_to_end(
            partial(self._remove, link), partial(self._listener.expected_from, link.peer.socket_id)
        )

    def _remove(self, link: PublisherLink) -> None:
        """Disconnect a link that is leaving and has been read to its end."""
        if self._all.get(link.endpoint) is not link or not link.leaving:
            return
        del self._all[link.endpoint]
        link.connector.disconnect(link.endpoint)
        if not link.framed:
            link.close()
        moved = self._moving.get(link.peer.socket_id)
        if moved is None:
            self._report_end(link, "withdrawn")
            return
        # not withdrawn since, so its stream continues, and losses in between are counted
        self._report_end(link, "lost", comes_back=True)
        self._on_change(DirectoryChange.UP, moved)

    def _report_end(self, link: PublisherLink, reason: str, *, comes_back: bool = False) -> None:
        if self.by_id.get(link.peer.socket_id) is link:  # not its successor
            del self.by_id[link.peer.socket_id]
        if link.connected:
            self._mark_disconnected(link, reason)
        if link.framed and not comes_back:
            self._listener.on_gone(link.peer.socket_id)

    def _mark_connected(self, link: PublisherLink) -> None:
        if link.connected:
            return
        link.mark_connected()
        early = self._take_early(link.peer.socket_id)
        self._listener.on_connected(link)
        for publication in early:
            self._listener.on_early(publication, link)

    def _mark_disconnected(self, link: PublisherLink, reason: str) -> None:
        link.mark_disconnected()
        self._listener.on_disconnected(link, reason)

    def _prepare(self) -> None:
        if not self._closed:
            self._framed_connector()

    def _framed_connector(self) -> Connector:
        if self._framed is None:
            self._framed = self._make_connector(self)
            self._framed.socket.send(b"\x01" + SUBSCRIBER_PREFIX + self._subscriber_id)
        return self._framed

    def _connector_of(self, link: PublisherLink) -> Connector:
        if link.framed:
            return self._framed_connector()
        connector = self._make_connector(_RawListener(self, link.endpoint), link.endpoint)
        connector.socket.send(b"\x01")
        return connector

    def _make_connector(self, listener: ConnectorListener, sole_endpoint: str | None = None) -> Connector:
        sockets = self._runtime.sockets
        return Connector(
            self._runtime.loop,
            sockets,
            sockets.xsub(),
            listener,
            sole_endpoint=sole_endpoint,
            copy=self._copy,
        )


class _RawListener:
    """The listener of a plain publisher's socket, whose link may be replaced.

    Args:
        links: all links of the subscriber.
        endpoint: the publisher's endpoint.
    """

    def __init__(self, links: PublisherLinks, endpoint: str) -> None:
        self.on_message = partial(links.on_raw, endpoint)
        self.on_connected = links.on_connected
        self.on_lost = links.on_lost
