"""A connection of its own to one advertised socket: it reconnects, parks, and ends with what it leads to."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from colugo.net.runtime import Runtime
from colugo.net.transport.connector import Connector
from colugo.net.transport.socket_reader import MoreToRead
from colugo.patterns.connections.link import Link, doubt_if_silent, park
from colugo.protocol.advertisement import Advertisement
from colugo.protocol.description.socket_descriptions import LinkDescription

if TYPE_CHECKING:
    import zmq

C = TypeVar("C", bound="PeerConnection")


@dataclass(frozen=True, slots=True)
class ConnectionReports(Generic[C]):
    """Whom a connection tells what becomes of it.

    Attributes:
        connected: called when it can be used.
        lost: called with `"lost"` or `"withdrawn"` when it no longer can.
        ended: called when it has closed itself.
    """

    connected: Callable[[C], None]
    lost: Callable[[C, str], None]
    ended: Callable[[C], None]


class PeerConnection:
    """The base of a connection to one peer: a DEALER that reconnects, with a new socket after each loss.

    A new socket, because what waits in the old one must not reach a peer that comes back after its loss
    has been dealt with.

    Args:
        runtime: the node's.
        peer: the other side.
        endpoint: where it is.
        reports: whom it tells what becomes of it.
    """

    def __init__(
        self, runtime: Runtime, peer: Advertisement, endpoint: str, reports: ConnectionReports[Any]
    ) -> None:
        self._runtime = runtime
        self._link = Link(peer, endpoint)
        self._reports = reports
        self._closed = False
        self._broken = False
        self._connector = self._connect()
        doubt_if_silent(runtime, self._link)

    @property
    def peer(self) -> Advertisement:
        """The other side."""
        return self._link.peer

    @property
    def endpoint(self) -> str:
        """Where it is."""
        return self._link.endpoint

    @property
    def closed(self) -> bool:
        """Whether it has been closed, by itself or from outside."""
        return self._closed

    def describe(self) -> LinkDescription:
        """What the node says of it."""
        return self._link.describe()

    def leave(self) -> None:
        """The peer is no longer advertised: take what it still sends, and end when it is lost."""
        self._link.leaving = True
        self._link.cancel_timer()
        if not self._connector.is_up(self.endpoint):
            self.end()

    def park(self, give_up: Callable[[], None]) -> None:
        """The peer's host does not answer: wait for it, until `give_up` is called."""
        if self._link.connected:  # nothing has been lost on this way
            self._runtime.vouch(self.peer)
        elif not self._link.leaving:
            park(self._link, give_up)

    def stay(self, peer: Advertisement) -> bool:
        """The peer is advertised again; whether it had been leaving and can be used again.

        Args:
            peer: as it is advertised now.
        """
        self._link.peer = peer
        if self._link.parked:
            self._link.parked = False
            if not self._link.connected:
                doubt_if_silent(self._runtime, self._link)
        if not self._link.leaving:
            return False
        self._link.leaving = False
        if not self._link.connected:
            doubt_if_silent(self._runtime, self._link)
        return self._link.connected

    def renew(self) -> None:
        """It is dead: connect anew, if it was up."""
        if not self._closed and self._link.connected:
            self._down(self.endpoint)

    def end(self) -> None:
        """Take what has arrived, close, and report the loss if it was connected."""
        self._link.leaving = True
        self._connector.read_to_end(self._end)

    def close(self) -> None:
        """Close without a report; what was sent still leaves."""
        if not self._closed:
            self.flush()
            self._closed = True
            self._link.cancel_timer()
            self._connector.close()

    def flush(self) -> None:
        """To be overridden: send what has been gathered. Called before it closes, too."""

    def _on_message(self, frames: list[Any]) -> MoreToRead | None:
        """To be overridden: take a message, and return what is left to do."""
        raise NotImplementedError

    def _on_writable(self) -> None:
        """To be overridden: the socket may take more, after it has refused some."""

    def _on_drained(self) -> None:
        """To be overridden: nothing more is read for now."""

    def _discard(self) -> None:
        """To be overridden: the peer is lost, and what waits for it must not reach it any more."""

    def _make_socket(self) -> "zmq.Socket[bytes]":
        """To be overridden if the DEALER needs options of its own."""
        return self._runtime.sockets.dealer()

    def _connect(self) -> Connector:
        return Connector(
            self._runtime.loop,
            self._runtime.sockets,
            self._make_socket(),
            on_message=self._on_message,
            on_connected=self._up,
            on_lost=self._down,
            on_writable=self._on_writable,
            on_drained=self._on_drained,
            sole_endpoint=self.endpoint,
        )

    def _up(self, endpoint: str) -> None:
        del endpoint
        # connected still: it is back before its loss has been dealt with, and gets a new socket then
        if not self._link.leaving and not self._link.connected:
            self._link.set_connected(connected=True)
            self._link.cancel_timer()
            if self._link.parked:
                self._link.parked = False
                self._runtime.vouch(self.peer)
            self._reports.connected(self)

    def _down(self, endpoint: str) -> None:
        del endpoint
        if self._link.leaving:
            self.end()
        else:
            self._broken = True
            self._connector.read_to_end(self._renew)

    def _end(self) -> None:
        if self._closed or not self._link.leaving:
            return
        self.close()
        self._reports.ended(self)
        if self._link.connected:
            self._link.set_connected(connected=False)
            self._reports.lost(self, "lost" if self._broken else "withdrawn")

    def _renew(self) -> None:
        """Everything that the lost peer had sent has been read."""
        if self._closed or self._link.leaving:
            self._end()
            return
        self._link.set_connected(connected=False)
        self._discard()
        self._broken = False
        self._connector.close(0)
        self._connector = self._connect()
        if self._link.advertised:
            self._runtime.routes.forget(self.peer)
            self._runtime.suspect(self.peer)
        doubt_if_silent(self._runtime, self._link, soon=True)
        self._reports.lost(self, "lost")
