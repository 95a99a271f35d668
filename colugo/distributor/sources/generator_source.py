"""The source of given messages."""

import asyncio
from collections.abc import Iterable, Iterator
from typing import Any

from colugo.distributor.base import QUEUED
from colugo.distributor.sources.loop_source import LoopSource

_A_TURN = 1000
"""Messages that are given in one turn of the loop."""


class GeneratorSource(LoopSource):
    """Gives messages as fast as there is room for them, for tests and for measuring.

    Args:
        messages: the messages, such as a list or a generator.
    """

    def __init__(self, messages: Iterable[Any]) -> None:
        super().__init__()
        self._messages: Iterator[Any] = iter(messages)

    async def listen(self) -> None:
        """Give all messages."""
        for message in self._messages:
            waits = self.emit(message)
            if waits is not QUEUED:
                await waits
            if self.received % _A_TURN == 0:
                await asyncio.sleep(0)
