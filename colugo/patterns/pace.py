"""The number of messages that a plain callback gets before the loop does other work."""

import logging
from collections.abc import Callable
from typing import Any

from colugo.patterns.callbacks import Handler

FLUSH_AFTER_S = 0.0005
"""Time after which messages sent by callbacks are flushed, although more callbacks are due."""
_LONG_S = 0.002
_BLOCKED_S = 0.1
_MAX_SIZE = 256


class Pace:
    """The pace of a callback: learned from the time that it takes. One that blocks the loop is logged.

    Attributes:
        size: the number of messages to pass to the callback in one turn of the loop.
    """

    __slots__ = ("_label", "_logger", "_warned", "size")

    def __init__(self, label: str, logger: logging.Logger) -> None:
        self._label = label
        self._logger = logger
        self._warned = False
        self.size = 1

    def record(self, seconds: float, count: int, callback: Callable[..., Any] | None = None) -> None:
        """Adapt to the duration of calls with `count` messages; `callback` was called with the last one."""
        if seconds < FLUSH_AFTER_S:
            if count >= self.size:
                self.size = min(2 * self.size, _MAX_SIZE)
        elif seconds > _LONG_S:
            self.size = max(1, self.size // 4)
            if seconds > _BLOCKED_S and not self._warned:
                self._warn(seconds, count, callback)

    def _warn(self, seconds: float, count: int, callback: Callable[..., Any] | None) -> None:
        self._warned = True
        handler = getattr(callback, "__self__", None)
        if isinstance(handler, Handler):
            callback = handler.callback
        self._logger.warning(
            "%s (%s) has held the loop for %.0f ms (messages: %d); nothing else ran meanwhile. "
            "Make it a coroutine function that awaits, or use a thread (subscribers: executor=True). "
            "This is logged once",
            self._label,
            getattr(callback, "__qualname__", callback),
            seconds * 1000,
            count,
        )
