"""Beacons of an idle publisher, from which subscribers learn of a lost tail."""

import asyncio
from typing import Protocol

_FIRST_S = 1.0
_LONGEST_S = 10.0


class BeaconListener(Protocol):
    """The writer of a publisher.

    Attributes:
        sequence: the sequence number of the next message.
    """

    sequence: int

    @property
    def subscribers(self) -> int:
        """The number of connected subscribers."""

    @property
    def behind(self) -> int:
        """The number of subscribers that are too far behind."""

    def send_beacon(self) -> None:
        """Send a beacon."""


class Beacon:
    """The timer of beacons: 1, 2, 4, 8, 10, 10 … s apart while no message is sent.

    A single beacon may be lost in a full pipe. While messages are sent, a beacon follows each second in which
    a subscriber is behind.

    Args:
        loop: the running loop.
        listener: the writer.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, listener: BeaconListener) -> None:
        self._loop = loop
        self._listener = listener
        self._last_sequence = -1
        self._wait_s = _FIRST_S
        self._timer: asyncio.TimerHandle | None = None
        self.idle = True
        """True if the next message has to start the timer."""

    def start(self) -> None:
        """Start the timer, or start it anew, because a message has been sent."""
        self.stop()
        self.idle = False
        self._wait_s = _FIRST_S
        self._last_sequence = self._listener.sequence
        self._timer = self._loop.call_later(_FIRST_S, self._tick)

    def stop(self) -> None:
        """Stop the timer."""
        self.idle = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _tick(self) -> None:
        self.idle = True
        if not self._listener.subscribers:
            return
        sequence = self._listener.sequence
        resting = sequence == self._last_sequence
        self._wait_s = min(2 * self._wait_s, _LONGEST_S) if resting else _FIRST_S
        self.idle = resting
        self._last_sequence = sequence
        if resting or self._listener.behind:
            self._listener.send_beacon()
        self._timer = self._loop.call_later(self._wait_s, self._tick)
