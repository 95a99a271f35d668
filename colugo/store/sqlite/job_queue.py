"""A queue of jobs, and the thread for their steps that wait for the disk, so that the loop does not."""

import asyncio
import queue
import threading
from collections import deque
from collections.abc import Callable

Job = Callable[[], object]
Step = Callable[[], object]
Then = Callable[[Exception | None], None]


class JobQueue:
    """Runs jobs in order, one at a time.

    A job ends when it returns or, if it has called `run_on_disk`, when that continuation returns.
    """

    def __init__(self, name: str) -> None:
        self._disk = DiskThread(name)
        self._jobs: deque[Job] = deque()
        self._running = False

    def add(self, job: Job) -> None:
        """Append a job; it runs immediately if the queue is empty."""
        self._jobs.append(job)
        self._run_jobs()

    def add_next(self, job: Job) -> None:
        """Put a job at the head of the queue, without running it yet."""
        self._jobs.appendleft(job)

    def run_on_disk(self, step: Step, then: Then) -> None:
        """Run a step of the current job on the disk thread, and then a continuation on the loop."""

        def ended(error: Exception | None) -> None:
            try:
                then(error)
            finally:
                self._run_jobs()

        self._disk.run(step, ended)

    def finish(self) -> None:
        """Run all remaining jobs on this thread, and end the disk thread; blocks."""
        self._disk.finish()
        self._run_jobs()

    def _run_jobs(self) -> None:
        if self._running or not self._jobs or self._disk.busy:
            return
        self._running = True
        try:
            while self._jobs and not self._disk.busy:
                self._jobs.popleft()()
        finally:
            self._running = False
            # a job that raises must not block the others
            self._run_jobs()


class DiskThread:
    """Runs one step at a time on its own thread, and then a continuation on the loop.

    Without a running loop, and after `finish`, steps run on the calling thread.
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
        """Run a step, then a continuation with the exception, or None; call only while not busy."""
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
