"""Acknowledgements wait for a moment, to be written with messages."""

import asyncio
from collections.abc import Callable

_TIMES = 2
"""How many times as long as the last transaction took they wait: the next messages find the store free, and
many acknowledgements are one transaction."""
_LONGEST_S = 0.01


class AckBatching:
    """The time after a transaction in which acknowledgements alone leave the store to messages.

    Args:
        on_over: called when it is over, if somebody has asked meanwhile.
    """

    def __init__(self, on_over: Callable[[], None]) -> None:
        self._on_over = on_over
        self._until = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, now: float, took_s: float) -> None:
        """A transaction is over.

        Args:
            now: the time of the loop, seconds.
            took_s: how long it took, seconds.
        """
        self._until = now + min(_TIMES * took_s, _LONGEST_S)

    def lasts(self) -> bool:
        """Whether to wait still; whoever asks is called when it is over."""
        loop = asyncio.get_running_loop()
        if self._until <= loop.time():
            return False
        if self._timer is None:
            self._timer = loop.call_at(self._until, self._end)
        return True

    def close(self) -> None:
        """Call nobody any more."""
        if self._timer is not None:
            self._timer.cancel()

    def _end(self) -> None:
        self._timer = None
        self._on_over()
