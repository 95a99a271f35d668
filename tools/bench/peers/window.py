"""Requests of which a fixed number is unanswered at any time, for libraries that answer by callbacks."""

import threading
from collections.abc import Callable


class Window:
    """Asks again whenever a request has ended.

    Args:
        ask: sends one request.
        count: how many in all.
        in_flight: how many are unanswered at any time.
    """

    def __init__(self, ask: Callable[[], object], count: int, in_flight: int) -> None:
        self._ask = ask
        self._unasked = count
        self._unended = count
        self._in_flight = min(in_flight, count)
        self._done = threading.Event()

    def open(self) -> None:
        """Send the first requests."""
        for _ in range(self._in_flight):
            self._ask_next()

    def ended(self) -> None:
        """Take note that a request has been answered, or has failed."""
        self._unended -= 1
        if self._unended == 0:
            self._done.set()
        else:
            self._ask_next()

    def wait(self) -> None:
        """Return when all have ended; on another thread than the callbacks'."""
        self._done.wait()

    def _ask_next(self) -> None:
        if self._unasked:
            self._unasked -= 1
            self._ask()
