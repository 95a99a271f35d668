"""What waits for the disk, beside the loop."""

import asyncio
import queue
import threading
from collections.abc import Callable

Step = Callable[[], object]
Then = Callable[[Exception | None], None]


class DiskThread:
    """Runs one step at a time on a thread of its own, and what follows on the loop.

    Where no loop runs, and after `finish`, steps run where they are given.

    Args:
        name: of the thread.
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
        """Whether a step is under way, or what follows it still waits for its turn."""
        return self._then is not None

    def run(self, step: Step, then: Then) -> None:
        """Run a step while none is under way.

        Args:
            step: may raise.
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
        """Wait for the step under way, do what follows it, and end the thread."""
        self._finished = True
        if self._thread is not None:
            self._steps.put(None)
            self._thread.join()
            self._thread = None
        self._collect()

    def _collect(self) -> None:
        """Go on after a step; it was done already if `finish` came before the loop's turn."""
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
            except RuntimeError:  # the loop is closed: `finish` will collect it
                return


def _attempt(step: Step) -> Exception | None:
    try:
        step()
    except Exception as error:  # noqa: BLE001 - given to what follows the step
        return error
    return None


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
