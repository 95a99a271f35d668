"""The thread on which a messenger calls back."""

import asyncio
import contextlib
import queue
import sys
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

from colugo.errors import ClosedError

_JOIN_S = 1.0
_CHECK_S = 0.5

Job = tuple[asyncio.AbstractEventLoop, "asyncio.Future[Any]", Callable[[], Any]]


class CallbackThread(threading.Thread):
    """Runs functions one after another on a thread, which keeps the program alive until it is closed.

    Args:
        on_interrupt: called on the thread after Ctrl-C has ended the main thread, to end the program.
    """

    def __init__(self, name: str, on_interrupt: Callable[[], object]) -> None:
        super().__init__(name=name, daemon=False)
        self._on_interrupt = on_interrupt
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()

    async def call(self, function: Callable[..., Any], *args: Any) -> None:
        """Run a function; return when it has returned, or raise its exception."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        self._jobs.put((loop, future, partial(function, *args)))
        await future

    def close(self) -> bool:
        """Run nothing more; return True if the thread ends within a second."""
        self._jobs.put(None)
        self.join(_JOIN_S)
        return not self.is_alive()

    def run(self) -> None:
        """Run functions until it is closed; called by `start`."""
        while True:
            try:
                job = self._jobs.get(timeout=_CHECK_S)
            except queue.Empty:
                if _was_interrupted():
                    self._on_interrupt()
                continue
            if job is None:
                return
            loop, future, function = job
            if future.cancelled():
                continue
            try:
                outcome: BaseException | None = None
                function()
            except Exception as error:  # noqa: BLE001 - raised where the call is awaited
                outcome = error
            except BaseException as error:  # noqa: BLE001 - as SystemExit of a callback; the loop must not get it
                outcome = ClosedError(f"the callback has raised {type(error).__name__}: {error}")
            with contextlib.suppress(RuntimeError):  # the loop has been closed
                loop.call_soon_threadsafe(_settle, future, outcome)


def _settle(future: "asyncio.Future[Any]", error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)


def _was_interrupted() -> bool:
    """Return True if Ctrl-C has ended the main thread; `sys.last_type` is the exception it reported."""
    return not threading.main_thread().is_alive() and getattr(sys, "last_type", None) is KeyboardInterrupt
