"""Running a coroutine to its end on a loop of its own, ended by signals."""

import asyncio
import signal
import threading
from collections.abc import Callable, Coroutine
from typing import Any

from tornado.ioloop import IOLoop

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def run_on(
    loop: IOLoop, main: Callable[[], Coroutine[Any, Any, None]], on_signal: Callable[[], None]
) -> None:
    """Run a coroutine on a loop that is closed afterwards.

    On the main thread, SIGINT and SIGTERM call `on_signal`; the handlers that were there are put
    back in the end.
    """
    asyncio_loop: asyncio.AbstractEventLoop = loop.asyncio_loop  # type: ignore[attr-defined]
    restore = (
        _install(asyncio_loop, on_signal) if threading.current_thread() is threading.main_thread() else {}
    )
    try:
        with asyncio.Runner(loop_factory=lambda: asyncio_loop) as runner:
            runner.run(main())
    finally:
        for number, handler in restore.items():
            signal.signal(number, handler)
        loop.close()


def _install(loop: asyncio.AbstractEventLoop, on_signal: Callable[[], None]) -> dict[signal.Signals, Any]:
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    for number in _SIGNALS:
        try:
            loop.add_signal_handler(number, on_signal)
        except NotImplementedError:  # Windows' loops
            signal.signal(number, lambda *_: on_signal())
    # None: a handler that Python did not install, which it cannot put back either
    return {number: handler for number, handler in before.items() if handler is not None}
