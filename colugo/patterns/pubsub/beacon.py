"""Telling readers again and again where the stream is, when it rests: so that they learn of a lost tail."""

import asyncio
from collections.abc import Callable

_FIRST_S = 1.0
_LONGEST_S = 10.0


class Beacon:
    """Calls back when messages rest, after pauses of 1, 2, 4, 8, 10, 10 … s: one is lost in a full pipe.

    While messages are sent, it looks each second whether a reader is behind, and calls back then.

    Args:
        loop: the running loop.
        sequence: gives the number of the next message.
        wanted: whether anyone listens.
        urgent: whether a reader is behind.
        send: sends a beacon.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        sequence: Callable[[], int],
        wanted: Callable[[], bool],
        urgent: Callable[[], bool],
        send: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._sequence = sequence
        self._wanted = wanted
        self._urgent = urgent
        self._send = send
        self._seen = -1
        self._wait_s = _FIRST_S
        self._timer: asyncio.TimerHandle | None = None
        self.idle = True
        """Whether the next message has to start it."""

    def start(self) -> None:
        """Begin, or begin anew, because a message has been sent."""
        self.stop()
        self.idle = False
        self._wait_s = _FIRST_S
        self._seen = self._sequence()
        self._timer = self._loop.call_later(_FIRST_S, self._tick)

    def stop(self) -> None:
        """End."""
        self.idle = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _tick(self) -> None:
        self.idle = True
        if not self._wanted():
            return
        sequence = self._sequence()
        resting = sequence == self._seen
        self._wait_s = min(2 * self._wait_s, _LONGEST_S) if resting else _FIRST_S
        self.idle = resting
        self._seen = sequence
        if resting or self._urgent():
            self._send()
        self._timer = self._loop.call_later(self._wait_s, self._tick)
