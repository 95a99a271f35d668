"""Running a coroutine to its end on a loop of its own, ended by signals."""

import asyncio
import signal
import threading
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager
from typing import Any, Generic, TypeVar

import tornado.platform.asyncio  # noqa: F401 - Tornado would load it at the first IOLoop, which takes 1.4 ms
from tornado.ioloop import IOLoop

T = TypeVar("T")

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


class ThreadRunner(AbstractContextManager[T], Generic[T]):
    """Runs something on a thread and loop of its own for the length of a `with` block.

    Args:
        value: what the block gets.
        name: of the thread.
        loop: a loop that does not run yet.
        begin: called on the loop; the block starts when it has returned.
        ended: awaited then, until `stop` has been called and everything is closed.
        stop: called at the end of the block, from another thread.
    """

    def __init__(
        self,
        value: T,
        *,
        name: str,
        loop: IOLoop,
        begin: Callable[[], Coroutine[Any, Any, None]],
        ended: Callable[[], Coroutine[Any, Any, None]],
        stop: Callable[[], None],
    ) -> None:
        self._value = value
        self._loop = loop
        self._begin = begin
        self._ended = ended
        self._stop = stop
        self._begun = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=f"colugo {name}", daemon=True)

    def __enter__(self) -> T:
        self._thread.start()
        try:
            self._begun.wait()
        except BaseException:  # SIGINT while it starts
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
            run_on(self._loop, self._main, self._stop)
        except BaseException as error:  # noqa: BLE001 - raised in the thread of the block
            self._error = error
        finally:
            self._begun.set()

    async def _main(self) -> None:
        await self._begin()
        self._begun.set()
        await self._ended()
