"""Calling back once, later."""

import asyncio
from collections.abc import Callable
from typing import Any

from colugo.net.runtime import Runtime
from colugo.patterns.base import check_delay_ms
from colugo.patterns.callbacks import Handler


class DelayedCallback:
    """Calls back once after `delay_ms` milliseconds; made by `Node.add_delayed_callback`.

    The delay counts from the start of the node if it is added before.
    """

    def __init__(
        self,
        runtime: Runtime,
        delay_ms: float,
        callback: Callable[..., Any],
        done: Callable[["DelayedCallback"], None],
    ) -> None:
        self._delay_s = check_delay_ms(delay_ms, least=0) / 1000
        self._handler = Handler(runtime, callback, f"delayed callback {delay_ms} ms", least=0, most=0)
        self._done = done
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False
        runtime.when_open(self._start)

    def cancel(self) -> None:
        """Do not call back; a no-op when it has been called."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()

    close = cancel

    def _start(self) -> None:
        if not self._closed:
            self._timer = asyncio.get_running_loop().call_later(self._delay_s, self._fire)

    def _fire(self) -> None:
        self._done(self)
        self._handler.run()
