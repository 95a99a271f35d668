"""Telling several listeners of one thing after another."""

from collections import deque
from collections.abc import Callable


class InOrder:
    """Calls a function for one thing after another: what comes up in a call waits until that is over.

    So all listeners hear everything in the same order, also if one of them causes something by what it hears.

    Args:
        tell: called with each thing.
    """

    def __init__(self, tell: Callable[..., None]) -> None:
        self._tell = tell
        self._waiting: deque[tuple[object, ...]] = deque()
        self._telling = False

    def __call__(self, *thing: object) -> None:
        """Tell it now, or when what is being told has been told to all."""
        self._waiting.append(thing)
        if self._telling:
            return
        self._telling = True
        try:
            while self._waiting:
                self._tell(*self._waiting.popleft())
        finally:
            self._telling = False
