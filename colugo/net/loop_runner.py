"""Runners of a coroutine on its own loop: on this thread, ended by signals, or on another one."""

import asyncio
import signal
import threading
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, Generic, TypeVar

import tornado.platform.asyncio  # noqa: F401 - Tornado would load it at the first IOLoop, which takes 1.4 ms
from tornado.ioloop import IOLoop

T = TypeVar("T")

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def run_on(
    loop: IOLoop, main: Callable[[], Coroutine[Any, Any, None]], on_signal: Callable[[], None]
) -> None:
    """Run a coroutine on a loop, and close the loop.

    On the main thread, SIGINT and SIGTERM call `on_signal` meanwhile; afterwards, the previous handlers are
    restored.
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
    # None is a handler that Python did not install, and cannot restore
    return {number: handler for number, handler in before.items() if handler is not None}


class ThreadRunner(AbstractContextManager[T], Generic[T]):
    """Runs a coroutine on its own thread and loop for the length of a `with` block.

    Args:
        value: the value that the block gets.
        loop: a loop that does not run yet.
        main: the coroutine function; it calls its argument when the block may start.
        stop: called on another thread at the end of the block; the coroutine returns then.
    """

    def __init__(
        self,
        value: T,
        *,
        name: str,
        loop: IOLoop,
        main: Callable[[Callable[[], None]], Coroutine[Any, Any, None]],
        stop: Callable[[], None],
    ) -> None:
        self._value = value
        self._loop = loop
        self._main = main
        self._stop = stop
        self._begun = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=f"colugo {name}", daemon=True)

    def __enter__(self) -> T:
        self._thread.start()
        try:
            self._begun.wait()
        except BaseException:  # such as SIGINT
            self.__exit__()
            raise
        if self._error is not None:
            self._thread.join()
            raise self._error
        return self._value

    def __exit__(self, *_: object) -> None:
        self._stop()
        self._thread.join()
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            run_on(self._loop, partial(self._main, self._begun.set), self._stop)
        except BaseException as error:  # noqa: BLE001 - raised in the thread of the block
            self._error = error
        finally:
            self._begun.set()
