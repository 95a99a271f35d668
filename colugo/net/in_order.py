"""Calls in order, even if one of them causes another."""

from collections import deque
from collections.abc import Callable


class InOrder:
    """Calls a function without reentrance: a call that is made within another one waits for its end.

    So all listeners get all events in the same order, even if a listener causes the next event.

    Args:
        function: the function, which may be called again while it runs.
    """

    def __init__(self, function: Callable[..., None]) -> None:
        self._function = function
        self._waiting: deque[tuple[object, ...]] = deque()
        self._calling = False

    def __call__(self, *args: object) -> None:
        """Call the function now, or after the call in progress."""
        self._waiting.append(args)
        if self._calling:
            return
        self._calling = True
        try:
            while self._waiting:
                self._function(*self._waiting.popleft())
        finally:
            self._calling = False
