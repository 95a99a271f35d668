"""Turns of the loop: what is sent in one of them leaves together."""

import asyncio
from collections.abc import Callable


class Turn:
    """Tells the first thing of a turn from those that follow, and when the turn is over.

    Args:
        on_end: called when a turn that has begun is over.
    """

    __slots__ = ("_begun", "_on_end")

    def __init__(self, on_end: Callable[[], None]) -> None:
        self._on_end = on_end
        self._begun = False

    def begin(self) -> bool:
        """Whether this is the first thing of its turn."""
        if self._begun:
            return False
        self._begun = True
        asyncio.get_running_loop().call_soon(self._end)
        return True

    def _end(self) -> None:
        self._begun = False
        self._on_end()
