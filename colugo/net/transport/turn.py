"""Turns of the loop, in which messages are gathered into a batch."""

import asyncio
from collections.abc import Callable


class Turn:
    """A turn of the loop, from its first message to a callback at its end."""

    __slots__ = ("_begun", "_on_end")

    def __init__(self, on_end: Callable[[], None]) -> None:
        self._on_end = on_end
        self._begun = False

    def begin(self) -> bool:
        """Begin a turn; return False if one has begun already."""
        if self._begun:
            return False
        self._begun = True
        asyncio.get_running_loop().call_soon(self._end)
        return True

    def _end(self) -> None:
        self._begun = False
        self._on_end()
