"""Pauses between transactions that write acknowledgements only."""

import asyncio
from collections.abc import Callable

_FACTOR = 2
"""The pause in durations of the last transaction: it leaves the store to the next messages, and lets one
transaction write many acknowledgements."""
_LONGEST_S = 0.01


class AckBatching:
    """The pause after a transaction, in which acknowledgements alone are not written.

    Args:
        on_end: called when the pause ends, if `active` was called during it.
    """

    def __init__(self, on_end: Callable[[], None]) -> None:
        self._on_end = on_end
        self._until = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def start(self, now: float, took_s: float) -> None:
        """Start a pause, after a transaction.

        Args:
            now: the time of the loop, seconds.
            took_s: the duration of the transaction, seconds.
        """
        self._until = now + min(_FACTOR * took_s, _LONGEST_S)

    def active(self) -> bool:
        """Return True during a pause; `on_end` follows."""
        loop = asyncio.get_running_loop()
        if self._until <= loop.time():
            return False
        if self._timer is None:
            self._timer = loop.call_at(self._until, self._end)
        return True

    def close(self) -> None:
        """Cancel the call of `on_end`."""
        if self._timer is not None:
            self._timer.cancel()

    def _end(self) -> None:
        self._timer = None
        self._on_end()
