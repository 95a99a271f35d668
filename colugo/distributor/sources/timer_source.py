"""The source that ticks."""

import asyncio

from colugo.distributor.sources.loop_source import LoopSource
from colugo.patterns.base import check_count


class TimerSource(LoopSource):
    """Gives the same message at a fixed rate, first after one interval. Missed ticks are skipped.

    Args:
        interval_ms: milliseconds between two messages.
        message: the message.

    Raises:
        ConfigurationError: if the interval is not an integer ≥ 1.
    """

    def __init__(self, interval_ms: int, message: str = "tick") -> None:
        super().__init__()
        self._interval_s = check_count("interval_ms", interval_ms) / 1000
        self._message = message

    async def listen(self) -> None:
        """Tick until the task is cancelled."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            missed = int((loop.time() - due) / self._interval_s)
            due += (missed + 1) * self._interval_s
            await asyncio.sleep(due - loop.time())
            await self.emit(self._message)
