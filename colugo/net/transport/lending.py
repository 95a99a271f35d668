"""Zero-copy sending of large buffers, within bounds."""

from collections import deque
from typing import Any

import zmq

_NOBLOCK = int(zmq.NOBLOCK)
_LEAST_BYTES = 128 * 1024
"""Smaller buffers are copied as quickly as they are lent."""


class Lending:
    """Sends buffers without copying them, up to a number of bytes at a time.

    pyzmq reports on its own thread when ZeroMQ has released a buffer. That thread can fall behind a busy
    sender by a gigabyte within seconds, so buffers beyond the limit are copied.

    Args:
        most_bytes: the most bytes to lend at a time; a single buffer may be larger.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._lent: deque[tuple[zmq.MessageTracker, int]] = deque()
        self._lent_bytes = 0

    def send(self, socket: zmq.Socket[bytes], payload: Any) -> None:
        """Send the last frame of a message, a bytes-like object; do not modify it until ZeroMQ has sent it.

        Sends of the socket must not fail.
        """
        size = len(payload)
        if size < _LEAST_BYTES or not self._may_lend(size):
            socket.send(payload, _NOBLOCK)
            return
        tracker = socket.send(payload, _NOBLOCK, copy=False, track=True)
        self._lent.append((tracker, size))
        self._lent_bytes += size

    def _may_lend(self, size: int) -> bool:
        while self._lent and self._lent[0][0].done:
            self._lent_bytes -= self._lent.popleft()[1]
        return not self._lent or self._lent_bytes + size <= self._most_bytes
