"""A callback that is called at a fixed rate."""

import asyncio
import math
from collections.abc import Callable
from typing import Any

from colugo.net.runtime import Runtime
from colugo.patterns.base import Part, check_delay_ms
from colugo.patterns.callbacks import Handler


class Repeater(Part):
    """A callback that is called every `delay_ms` milliseconds; made by `Node.add_repeater`.

    Ticks are at multiples of the delay from the start; the first is after one delay. A tick is skipped and
    counted if a coroutine callback still runs, or if the tick is a whole delay late because the loop was
    blocked.

    Attributes:
        missed: the number of ticks that were skipped.
    """

    def __init__(self, runtime: Runtime, delay_ms: float, callback: Callable[..., Any]) -> None:
        self._delay_s = check_delay_ms(delay_ms, least=1) / 1000
        super().__init__(runtime)
        self._handler = Handler(runtime, callback, f"repeater {delay_ms} ms", least=0, most=0)
        self._next = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._busy = False
        self.missed = 0
        runtime.when_open(self._start)

    def stop(self) -> None:
        """Stop the repeater; the same as `close()`."""
        self.close()

    def quiesce(self) -> None:
        """Stop the repeater."""
        self.close()

    def _shut(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _start(self) -> None:
        if not self._closed:
            loop = asyncio.get_running_loop()
            self._next = loop.time() + self._delay_s
            self._timer = loop.call_at(self._next, self._tick)

    def _tick(self) -> None:
        if self._busy:
            self.missed += 1
        elif self._handler.is_coroutine:
            self._busy = True
            self._runtime.spawn(self._run(), "repeater")
        else:
            self._handler.run()
        if not self._closed:
            self._schedule()

    def _schedule(self) -> None:
        loop = asyncio.get_running_loop()
        self._next += self._delay_s
        late = loop.time() - self._next
        if late >= self._delay_s:  # a tick that is less than one delay late still fires, at once
            skipped = math.floor(late / self._delay_s)
            self.missed += skipped
            self._next += skipped * self._delay_s
        self._timer = loop.call_at(self._next, self._tick)

    async def _run(self) -> None:
        try:
            await self._handler.run_to_end()
        finally:
            self._busy = False
