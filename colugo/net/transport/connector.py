"""A connecting socket and its monitor: who is connected and who is lost, by endpoint."""

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

    ZeroMQ reconnects by itself. The monitor's event names the endpoint; it arrives within about a
    millisecond of the other process being killed.

    Args:
        loop: the running loop.
        sockets: where sockets are made.
        socket: an XSUB or DEALER; this object closes it.
        listener: the owner.
        flow: told when the socket takes messages again and when it is drained; None if nobody needs to know.
        sole_endpoint: the only one it will connect to; needed for host names, since the events name
            the numeric address that was found.
        copy: whether frames are bytes, else `zmq.Frame`.
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
        """Whether the endpoint's handshake is done and its connection has not been lost since."""
        self._monitor_reader.drain()
        return endpoint in self._up

    def read_to_end(self, then: Callable[[], None], progress: Callable[[], int] = lambda: 0) -> None:
        """Call `then` when nothing unread is left, in turns with the loop's other work.

        Leaving an endpoint discards what it has sent and nobody has read yet. Others may go on
        sending on the same socket, so there is an end to it, when nothing of this one has come for half a
        minute of reading.

        Args:
            then: what to do in the end.
            progress: gives a number that grows as long as something comes from this endpoint.
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
        """Leave an endpoint; what is unread of it is lost, and its end is not reported."""
        if endpoint in self._endpoints:
            self._endpoints.discard(endpoint)
            self._up.discard(endpoint)
            self.socket.disconnect(endpoint)

    def drain(self) -> None:
        """Take what has arrived, for one slice of time at most."""
        self._reader.drain()

    def kick(self) -> None:
        """To be called after each send."""
        self._reader.kick()

    def resume(self) -> None:
        """Go on with work that a message has left."""
        self._reader.resume()

    def close(self, linger_ms: int | None = None) -> None:
        """Close the socket.

        Args:
            linger_ms: how long what was sent may still leave; None for the socket's own setting.
        """
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
