"""A connecting socket and its monitor: who is connected and who is lost, by endpoint."""

import struct
from collections.abc import Callable

import zmq
from tornado.ioloop import IOLoop

from colugo.net.reader import SocketReader
from colugo.net.sockets import Sockets

_EVENTS = zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED | zmq.EVENT_CONNECTED
_EVENT = struct.Struct("=Hi")


class Connector:
    """One socket that connects to any number of endpoints.

    ZeroMQ reconnects by itself. The monitor's event names the endpoint; it arrives within about a
    millisecond of the other process being killed.

    Args:
        loop: the running loop.
        sockets: where sockets are made.
        socket: an XSUB or DEALER; this object closes it.
        on_message: gets the frames of each message.
        on_connected: gets the endpoint when its ZMTP handshake is done.
        on_lost: gets the endpoint when a connection that was up is gone.
        on_writable: called when the socket takes messages again.
    """

    def __init__(
        self,
        loop: IOLoop,
        sockets: Sockets,
        socket: zmq.Socket[bytes],
        *,
        on_message: Callable[[list[bytes]], None],
        on_connected: Callable[[str], None],
        on_lost: Callable[[str], None],
        on_writable: Callable[[], None] | None = None,
    ) -> None:
        self.socket = socket
        self._on_connected = on_connected
        self._on_lost = on_lost
        self._endpoints: set[str] = set()
        self._up: set[str] = set()
        self._monitor = sockets.monitor(socket, _EVENTS)
        self._monitor_reader = SocketReader(loop, self._monitor, self._event)
        self._reader = SocketReader(loop, socket, on_message, on_writable)

    def connect(self, endpoint: str) -> None:
        """Connect to an endpoint, once."""
        if endpoint not in self._endpoints:
            self.socket.connect(endpoint)
            self._endpoints.add(endpoint)

    def disconnect(self, endpoint: str) -> None:
        """Leave an endpoint, after reading what came from it; its loss is not reported."""
        if endpoint in self._endpoints:
            self._reader.drain()
            self._endpoints.discard(endpoint)
            self._up.discard(endpoint)
            self.socket.disconnect(endpoint)

    def drain(self) -> None:
        """Take what has arrived now."""
        self._reader.drain()

    def kick(self) -> None:
        """To be called after each send."""
        self._reader.kick()

    def close(self, linger_ms: int | None = None) -> None:
        """Close the socket.

        Args:
            linger_ms: how long what was sent may still leave; None for the socket's own setting.
        """
        self._reader.close()
        self._monitor_reader.close()
        self.socket.disable_monitor()
        self._monitor.close()
        self.socket.close(linger_ms)

    def _event(self, frames: list[bytes]) -> None:
        event, _ = _EVENT.unpack(frames[0])
        endpoint = frames[1].decode()
        if endpoint not in self._endpoints:
            return
        if event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
            if endpoint not in self._up:
                self._up.add(endpoint)
                self._on_connected(endpoint)
        elif event == zmq.EVENT_DISCONNECTED and endpoint in self._up:
            self._up.discard(endpoint)
            self._on_lost(endpoint)
