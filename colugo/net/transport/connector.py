"""A connecting socket and its monitor, which reports connections and losses by endpoint."""

import asyncio
import struct
from collections.abc import Callable
from typing import Any, Protocol

import zmq
from tornado.ioloop import IOLoop

from colugo.net.transport.socket_reader import MoreToRead, SocketReader
from colugo.net.transport.sockets import Sockets, connect

_EVENTS = zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED
_EVENT = struct.Struct("=Hi")
_READ_TO_END_S = 30.0
_HELD_S = 0.01


class ConnectorListener(Protocol):
    """The owner of a connecting socket."""

    def on_message(self, frames: list[Any]) -> MoreToRead | None:
        """Take the frames of a message; may return the rest of the work (see `SocketReader`)."""

    def on_connected(self, endpoint: str) -> None:
        """Take note of an endpoint whose ZMTP handshake is done."""

    def on_lost(self, endpoint: str) -> None:
        """Take note of an endpoint whose connection was up and is lost."""


class ConnectorFlowListener(Protocol):
    """An owner that sends and reads in turns."""

    def on_writable(self) -> None:
        """Send what the socket has refused: it takes messages again."""

    def on_drained(self) -> None:
        """Act when nothing more is read for now."""


class Connector:
    """One socket that connects to any number of endpoints.

    ZeroMQ reconnects by itself. The monitor's event names the endpoint; it arrives about a millisecond after
    the other process is killed.

    Args:
        socket: an XSUB or DEALER; this object closes it.
        flow: notified when the socket is writable again and when it is drained; None if not needed.
        sole_endpoint: the only endpoint to connect to. Required for host names, because events name the
            resolved address.
        copy: whether frames are bytes instead of `zmq.Frame`.
    """

    def __init__(
        self,
        loop: IOLoop,
        sockets: Sockets,
        socket: zmq.Socket[bytes],
        listener: ConnectorListener,
        *,
        flow: ConnectorFlowListener | None = None,
        sole_endpoint: str | None = None,
        copy: bool = True,
    ) -> None:
        self.socket = socket
        self._listener = listener
        self._sole_endpoint = sole_endpoint
        self._endpoints: set[str] = set()
        self._up: set[str] = set()
        self._closed = False
        self._monitor = sockets.monitor(socket, _EVENTS)
        self._monitor_reader = SocketReader(loop, self._monitor, self._event)
        self._reader = SocketReader(
            loop,
            socket,
            listener.on_message,
            flow.on_writable if flow is not None else None,
            flow.on_drained if flow is not None else None,
            copy=copy,
        )
        if sole_endpoint is not None:
            self.connect(sole_endpoint)

    def connect(self, endpoint: str) -> None:
        """Connect to an endpoint, once."""
        if endpoint not in self._endpoints:
            connect(self.socket, endpoint)
            self._endpoints.add(endpoint)

    def is_up(self, endpoint: str) -> bool:
        """Return True if the endpoint's handshake is done and its connection has not been lost since."""
        self._monitor_reader.drain()
        return endpoint in self._up

    def read_to_end(self, then: Callable[[], None], progress: Callable[[], int] = lambda: 0) -> None:
        """Read until the socket has no input left, in turns with the loop's other work, then call `then`.

        Disconnecting from an endpoint discards its unread messages. Other endpoints may keep sending on the
        same socket, so reading ends after half a minute without a message from this one: `progress` returns a
        number that grows with each of its messages.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + _READ_TO_END_S
        seen = progress()

        def step() -> None:
            nonlocal until, seen
            if self._closed:
                return
            self._reader.drain()
            if self._closed:
                return
            if self._reader.held or progress() != seen:
                until = loop.time() + _READ_TO_END_S
                seen = progress()
            if self._reader.has_input() and loop.time() < until:
                loop.call_later(_HELD_S if self._reader.held else 0, step)
            else:
                then()

        step()

    def disconnect(self, endpoint: str) -> None:
        """Disconnect from an endpoint; its unread messages are lost, and no loss is reported."""
        if endpoint in self._endpoints:
            self._endpoints.discard(endpoint)
            self._up.discard(endpoint)
            self.socket.disconnect(endpoint)

    def drain(self) -> None:
        """Read the messages that have arrived, for one time slice at most."""
        self._reader.drain()

    def kick(self) -> None:
        """Schedule a check for input; call it after each send."""
        self._reader.kick()

    def resume(self) -> None:
        """Continue the held work of a message."""
        self._reader.resume()

    def close(self, linger_ms: int | None = None) -> None:
        """Close the socket; with `linger_ms` of None, sent messages linger as set on the socket."""
        if self._closed:
            return
        self._closed = True
        self._reader.close()
        self._monitor_reader.close()
        self.socket.disable_monitor()
        self._monitor.close()
        self.socket.close(linger_ms)

    def _event(self, frames: list[bytes]) -> None:
        event, _ = _EVENT.unpack(frames[0])
        endpoint = self._sole_endpoint or frames[1].decode()
        if endpoint not in self._endpoints:
            return
        if event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
            if endpoint not in self._up:
                self._up.add(endpoint)
                self._listener.on_connected(endpoint)
        elif endpoint in self._up:
            self._up.discard(endpoint)
            self._listener.on_lost(endpoint)
