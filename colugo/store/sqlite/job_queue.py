"""A queue of jobs, some of which wait for the disk on a thread."""

from collections import deque
from collections.abc import Callable

from colugo.store.sqlite.disk_thread import DiskThread, Step, Then

Job = Callable[[], object]


class JobQueue:
    """Runs jobs in order, one at a time.

    A job ends when it returns or, if it has called `run_on_disk`, when that continuation returns.

    Args:
        name: the name of the thread for steps that wait for the disk.
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
        """Run a step of the current job on the disk thread, and then a continuation on the loop.

        Args:
            step: the function to run; may raise.
            then: called with the exception, or None.
        """

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
