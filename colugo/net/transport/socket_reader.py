"""Reading a ZeroMQ socket on the loop, in batches."""

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Any

import zmq
from tornado.ioloop import IOLoop

# pyzmq's constants are enums; an operation on an enum takes longer than reading a message
_POLLIN = int(zmq.POLLIN)
_POLLOUT = int(zmq.POLLOUT)
_NOBLOCK = int(zmq.NOBLOCK)
_SLICE_S = 0.005
"""How long a socket reads before it yields to the loop's other work."""

MoreToRead = Iterator[bool]
"""Work that continues in later turns of the loop: it yields True to wait for `resume()`, otherwise False."""


class SocketReader:
    """A reader that calls back for each message of a socket, on the loop.

    ZeroMQ's descriptor is edge-triggered: it signals a change once, and sending consumes the signal, too. So
    the reader checks for events again after each drain, and `kick()` must be called after each send.

    Args:
        socket: the socket; this object does not close it.
        on_message: called with the frames of each message. If it returns more work, that is finished before
            the next message is read.
        on_writable: called when the socket is writable again; optional.
        on_drained: called at the end of each batch; optional.
        before_reading: called before each batch; optional.
        copy: whether frames are bytes instead of `zmq.Frame`.
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
        self._unfinished: MoreToRead | None = None
        self._draining = False
        self.held = False
        """True if work is waiting for `resume()`."""
        loop.add_handler(self._fd, self._ready, IOLoop.READ)
        self.kick()

    def kick(self) -> None:
        """Schedule reading for the next turn of the loop."""
        if not self._kicked and not self._closed:
            self._kicked = True
            self._asyncio.call_soon(self._kick)

    def drain(self) -> None:
        """Read the messages that have arrived, for one time slice at most."""
        if not self._closed:
            self._drain()

    def resume(self) -> None:
        """Continue work that is waiting for this call."""
        if self.held:
            self.held = False
            self.kick()

    def has_input(self) -> bool:
        """Return True if the socket has unread input or unfinished work."""
        if self._closed:
            return False
        return self._unfinished is not None or bool(int(self._socket.get(zmq.EVENTS)) & _POLLIN)

    def close(self) -> None:
        """Stop reading."""
        if not self._closed:
            self._closed = True
            self._unfinished = None
            self._loop.remove_handler(self._fd)

    def _kick(self) -> None:
        self._kicked = False
        if not self._closed:
            self._drain()

    def _ready(self, fd: object, events: int) -> None:
        del fd, events
        self._drain()

    def _drain(self) -> None:
        if self._draining:  # called by one of the callbacks
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
            self.kick()  # the descriptor does not signal the remaining messages again
            raise
        finally:
            self._draining = False

    def _read(self, until: float) -> None:
        socket = self._socket
        while not self._closed:
            events = int(socket.get(zmq.EVENTS))
            if events & _POLLOUT and self._on_writable is not None:
                self._on_writable()
            if self._unfinished is not None and not self._continue(self._unfinished, until):
                return
            if not events & _POLLIN:
                return
            frames = [socket.recv(_NOBLOCK, self._copy)]
            while socket.get(zmq.RCVMORE):
                frames.append(socket.recv(_NOBLOCK, self._copy))
            rest = self._on_message(frames)
            if rest is not None and not self._continue(rest, until):
                return
            if time.monotonic() > until:
                self.kick()
                return

    def _continue(self, rest: MoreToRead, until: float) -> bool:
        """Continue the work of a message; return True if it is done."""
        self._unfinished = rest
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
        self._unfinished = None
        return True
