"""Reading a ZeroMQ socket on the loop, all that is there at a time."""

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Any

import zmq
from tornado.ioloop import IOLoop

# pyzmq's own are enums, and an operation on one takes longer than reading a message
_POLLIN = int(zmq.POLLIN)
_POLLOUT = int(zmq.POLLOUT)
_NOBLOCK = int(zmq.NOBLOCK)
_SLICE_S = 0.005
"""How long one socket may read before the loop's other work has its turn."""

MoreToRead = Iterator[bool]
"""Work that goes on in later turns of the loop: it yields True to be left until `resume()`, else False."""


class SocketReader:
    """Calls back for each message of a socket, on the loop.

    ZeroMQ's descriptor is edge-triggered: it reports a change once, and also sends consume it. So
    the events are looked at again after each drain, and `kick()` is called after each send.

    Args:
        loop: the running loop.
        socket: the socket; this object does not close it.
        on_message: gets the frames of each message. It may return what is left to do with it: nothing
            more is read before that is done.
        on_writable: called when the socket takes messages again; optional.
        on_drained: called when nothing more is read for now; optional.
        before_reading: called before it looks at the socket; optional.
        copy: whether frames are bytes, else `zmq.Frame`.
    """

    def __init__(
        self,
        loop: IOLoop,
        socket: zmq.Socket[bytes],
        on_message: Callable[[list[Any]], MoreToRead | None],
        on_writable: Callable[[], None] | None = None,
        on_drained: Callable[[], None] | None = None,
        *,
        before_reading: Callable[[], None] | None = None,
        copy: bool = True,
    ) -> None:
        self._loop = loop
        self._asyncio = asyncio.get_running_loop()
        self._socket = socket
        self._on_message = on_message
        self._on_writable = on_writable
        self._on_drained = on_drained
        self._before_reading = before_reading
        self._copy = copy
        self._fd = socket.fileno()
        self._closed = False
        self._kicked = False
        self._rest: MoreToRead | None = None
        self._draining = False
        self.held = False
        """Whether work has been left until `resume()`."""
        loop.add_handler(self._fd, self._ready, IOLoop.READ)
        self.kick()

    def kick(self) -> None:
        """Look at the socket in the next turn of the loop."""
        if not self._kicked and not self._closed:
            self._kicked = True
            self._asyncio.call_soon(self._kick)

    def drain(self) -> None:
        """Take what has arrived, for one slice of time at most."""
        if not self._closed:
            self._drain()

    def resume(self) -> None:
        """Go on with work that has been left."""
        if self.held:
            self.held = False
            self.kick()

    def has_input(self) -> bool:
        """Whether something unread is left."""
        if self._closed:
            return False
        return self._rest is not None or bool(int(self._socket.get(zmq.EVENTS)) & _POLLIN)

    def close(self) -> None:
        """Stop reading."""
        if not self._closed:
            self._closed = True
            self._rest = None
            self._loop.remove_handler(self._fd)

    def _kick(self) -> None:
        self._kicked = False
        if not self._closed:
            self._drain()

    def _ready(self, fd: object, events: int) -> None:
        del fd, events
        self._drain()

    def _drain(self) -> None:
        if self._draining:  # a callback has led here again
            self.kick()
            return
        self._draining = True
        try:
            if self._before_reading is not None:
                self._before_reading()
            self._read(time.monotonic() + _SLICE_S)
            if self._on_drained is not None:
                self._on_drained()
        except BaseException:
            self.kick()  # the descriptor will not tell of what is left
            raise
        finally:
            self._draining = False

    def _read(self, until: float) -> None:
        socket = self._socket
        while not self._closed:
            events = int(socket.get(zmq.EVENTS))
            if events & _POLLOUT and self._on_writable is not None:
                self._on_writable()
            if self._rest is not None and not self._go_on(self._rest, until):
                return
            if not events & _POLLIN:
                return
            frames = [socket.recv(_NOBLOCK, self._copy)]
            while socket.get(zmq.RCVMORE):
                frames.append(socket.recv(_NOBLOCK, self._copy))
            rest = self._on_message(frames)
            if rest is not None and not self._go_on(rest, until):
                return
            if time.monotonic() > until:
                self.kick()
                return

    def _go_on(self, rest: MoreToRead, until: float) -> bool:
        """Work at what is left of a message; whether it is done."""
        self._rest = rest
        if self.held:
            return False
        for held in rest:
            if self._closed:
                return False
            if held:
                self.held = True
                return False
            if time.monotonic() > until:
                self.kick()
                return False
        self._rest = None
        return True
