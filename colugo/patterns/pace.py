"""How many messages a plain callback gets before the loop's other work may have its turn."""

import logging
from collections.abc import Callable
from typing import Any

from colugo.patterns.callbacks import Handler

PATIENCE_S = 0.0005
"""How long callbacks may take until what they have sent leaves, though more of them are to be called."""
_LONG_S = 0.002
_HELD_S = 0.1
_MOST = 256


class Pace:
    """Learns how long a callback takes, and names one that holds the loop.

    Args:
        label: what the callback is, for the log.
        logger: where to name it.

    Attributes:
        size: how many messages to hand over at a time.
    """

    __slots__ = ("_label", "_logger", "_named", "size")

    def __init__(self, label: str, logger: logging.Logger) -> None:
        self._label = label
        self._logger = logger
        self._named = False
        self.size = 1

    def took(self, seconds: float, count: int, callback: Callable[..., Any] | None = None) -> None:
        """Take in how long it has taken.

        Args:
            seconds: the time.
            count: of how many messages.
            callback: that of the last one.
        """
        if seconds < PATIENCE_S:
            if count >= self.size:
                self.size = min(2 * self.size, _MOST)
        elif seconds > _LONG_S:
            self.size = max(1, self.size // 4)
            if seconds > _HELD_S and not self._named:
                self._name(seconds, count, callback)

    def _name(self, seconds: float, count: int, callback: Callable[..., Any] | None) -> None:
        self._named = True
        handler = getattr(callback, "__self__", None)
        if isinstance(handler, Handler):
            callback = handler.callback
        self._logger.warning(
            "%s (%s) has held the loop for %.0f ms (messages: %d); nothing else ran meanwhile. "
            "Let it be a coroutine function that awaits, or work on a thread (subscribers: executor=True). "
            "Said once",
            self._label,
            getattr(callback, "__qualname__", callback),
            seconds * 1000,
            count,
        )
