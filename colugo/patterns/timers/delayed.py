"""A callback that is called once, after a delay."""

import asyncio
from collections.abc import Callable
from typing import Any

from colugo.net.runtime import Runtime
from colugo.patterns.base import Part, check_delay_ms
from colugo.patterns.callbacks import Handler


class DelayedCallback(Part):
    """A callback that is called once, after `delay_ms` milliseconds; made by `Node.add_delayed_callback`.

    If you add it before the node starts, the delay counts from the start.
    """

    def __init__(self, runtime: Runtime, delay_ms: float, callback: Callable[..., Any]) -> None:
        super().__init__(runtime)
        self._delay_s = check_delay_ms(delay_ms, least=0) / 1000
        self._handler = Handler(runtime, callback, f"delayed callback {delay_ms} ms", least=0, most=0)
        self._timer: asyncio.TimerHandle | None = None
        runtime.when_open(self._start)

    def cancel(self) -> None:
        """Cancel the callback; the same as `close()`, and a no-op after the callback was called."""
        self.close()

    def quiesce(self) -> None:
        """Cancel the callback."""
        self.close()

    def _shut(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _start(self) -> None:
        if not self._closed:
            self._timer = asyncio.get_running_loop().call_later(self._delay_s, self._fire)

    def _fire(self) -> None:
        self.close_now()
        self._handler.run()
