"""A connection with a DEALER of its own to one advertised socket."""

from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from colugo.net.runtime import Runtime
from colugo.net.transport.connector import Connector
from colugo.net.transport.socket_reader import MoreToRead
from colugo.patterns.connections.link import Link
from colugo.protocol.advertisement import Advertisement

if TYPE_CHECKING:
    import zmq

C = TypeVar("C", bound="PeerConnection")
C_contra = TypeVar("C_contra", bound="PeerConnection", contravariant=True)


class ConnectionListener(Protocol[C_contra]):
    """The owner of connections."""

    def on_connected(self, connection: C_contra) -> None:
        """Use a connection from now on."""

    def on_lost(self, connection: C_contra, reason: str) -> None:
        """Stop using a connection; the reason is `"lost"` or `"withdrawn"`."""

    def on_ended(self, connection: C_contra) -> None:
        """Forget a connection that has closed itself."""


class PeerConnection(Link):
    """The base of a connection to one peer, which makes a new DEALER after each loss.

    Messages that wait in the old socket must not reach a peer that comes back after its loss was reported.

    Args:
        runtime: the node's runtime.
        peer: the advertised socket.
        endpoint: the peer's endpoint.
        listener: the owner.
    """

    def __init__(
        self, runtime: Runtime, peer: Advertisement, endpoint: str, listener: ConnectionListener[Any]
    ) -> None:
        super().__init__(runtime, peer, endpoint)
        self._listener = listener
        self._closed = False
        self._broken = False
        self._connector = self._make_connector()
        self.await_answer()

    @property
    def closed(self) -> bool:
        """True after the connection was closed, by itself or by its owner."""
        return self._closed

    @property
    def up(self) -> bool:
        """True if ZeroMQ has a connection to the peer."""
        return self._connector.is_up(self.endpoint)

    def reconnect(self) -> None:
        """Replace a connection that is dead, if it was up."""
        if not self._closed and self.connected:
            self.on_lost(self.endpoint)

    def renew(self) -> None:
        """Replace the attempt to connect, which may have to wait for TCP's next SYN (1 s, RFC 6298)."""
        if not self._closed and not self.up:
            self._connector.close(0)
            self._connector = self._make_connector()

    def end(self) -> None:
        """Read what has arrived, close, and report the loss if it was connected."""
        self.leaving = True
        self._connector.read_to_end(self._end)

    def close(self) -> None:
        """Close without a report; messages that were sent still leave."""
        if not self._closed:
            self.flush()
            self._closed = True
            self.cancel_timer()
            self._connector.close()

    def flush(self) -> None:
        """Override to send what has been gathered; called before closing, too."""

    def on_message(self, frames: list[Any]) -> MoreToRead | None:
        """Override to take a message, and return the rest of the work."""
        raise NotImplementedError

    def on_connected(self, endpoint: str) -> None:
        """Report the connection to the owner."""
        del endpoint
        # still connected: the peer is back before its loss has been reported, and gets a new socket then
        if not self.leaving and not self.connected:
            self.mark_connected()
            self._listener.on_connected(self)

    def on_lost(self, endpoint: str) -> None:
        """Read what the lost peer has sent, then replace the socket or end."""
        del endpoint
        if self.leaving:
            self.end()
        else:
            self._broken = True
            self._connector.read_to_end(self._replace_socket)

    def on_writable(self) -> None:
        """Override to send what the socket has refused before."""

    def on_drained(self) -> None:
        """Override to act when nothing more is read for now."""

    def _discard(self) -> None:
        """Override to drop what waits for the lost peer and must not reach it any more."""

    def _make_socket(self) -> "zmq.Socket[bytes]":
        """Make the DEALER; override if it needs other options."""
        return self._runtime.sockets.dealer()

    def _make_connector(self) -> Connector:
        return Connector(
            self._runtime.loop,
            self._runtime.sockets,
            self._make_socket(),
            self,
            flow=self,
            sole_endpoint=self.endpoint,
        )

    def _end(self) -> None:
        if self._closed or not self.leaving:
            return
        self.close()
        self._listener.on_ended(self)
        if self.connected:
            self.mark_disconnected()
            self._listener.on_lost(self, "lost" if self._broken else "withdrawn")

    def _replace_socket(self) -> None:
        if self._closed or self.leaving:
            self._end()
            return
        self.mark_disconnected()
        self._discard()
        self._broken = False
        self._connector.close(0)
        self._connector = self._make_connector()
        self.suspect()
        self._listener.on_lost(self, "lost")
