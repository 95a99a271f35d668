"""Giving large buffers to ZeroMQ without a copy, within bounds."""

from collections import deque
from typing import Any

import zmq

_NOBLOCK = int(zmq.NOBLOCK)
_LEAST_BYTES = 128 * 1024
"""Copying less takes no longer than lending it."""


class Lending:
    """Sends buffers of which pyzmq tells, on a thread of its own, when ZeroMQ is done with them.

    That thread falls behind a busy sender, by a gigabyte within seconds. So only so much is lent at a time;
    what comes beyond is copied.

    Args:
        most_bytes: how much may be lent; a single buffer may be larger.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._lent: deque[tuple[zmq.MessageTracker, int]] = deque()
        self._lent_bytes = 0

    def send(self, socket: zmq.Socket[bytes], payload: Any) -> None:
        """Send a frame, the last one of its message.

        Args:
            socket: one whose sends do not fail.
            payload: bytes-like; it is not to be changed until it has left.
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
