"""A thread for the steps that wait for the disk, so that the loop does not."""

import asyncio
import queue
import threading
from collections.abc import Callable

Step = Callable[[], object]
Then = Callable[[Exception | None], None]


class DiskThread:
    """Runs one step at a time on its own thread, and then a continuation on the loop.

    Without a running loop, and after `finish`, steps run on the calling thread.

    Args:
        name: the thread's name.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._steps: queue.SimpleQueue[Step | None] = queue.SimpleQueue()
        self._results: queue.SimpleQueue[Exception | None] = queue.SimpleQueue()
        self._then: Then | None = None
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._finished = False

    @property
    def busy(self) -> bool:
        """True from `run` until the continuation is called."""
        return self._then is not None

    def run(self, step: Step, then: Then) -> None:
        """Run a step; call only while the thread is not busy.

        Args:
            step: the function to run; may raise.
            then: called on the loop with the exception, or None.
        """
        self._then = then
        loop = None if self._finished else _running_loop()
        if loop is None:
            self._results.put(_attempt(step))
            self._collect()
            return
        self._loop = loop
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
            self._thread.start()
        self._steps.put(step)

    def finish(self) -> None:
        """Wait for the running step, call its continuation, and end the thread."""
        self._finished = True
        if self._thread is not None:
            self._steps.put(None)
            self._thread.join()
            self._thread = None
        self._collect()

    def _collect(self) -> None:
        """Call the continuation of a finished step, unless `finish` has called it already."""
        if self._results.empty():
            return
        error = self._results.get()
        then, self._then = self._then, None
        if then is not None:
            then(error)

    def _work(self) -> None:
        while (step := self._steps.get()) is not None:
            self._results.put(_attempt(step))
            assert self._loop is not None
            try:
                self._loop.call_soon_threadsafe(self._collect)
            except RuntimeError:  # the loop is closed: `finish` collects the result
                return


def _attempt(step: Step) -> Exception | None:
    try:
        step()
    except Exception as error:  # noqa: BLE001 - passed to the continuation
        return error
    return None


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
