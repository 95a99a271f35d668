"""Jobs that are done one after the other, some of them partly beside the loop."""

from collections import deque
from collections.abc import Callable

from colugo.store.sqlite.disk_thread import DiskThread, Step, Then

Job = Callable[[], object]


class JobQueue:
    """Does jobs in their order, each as soon as the one before it has ended.

    A job ends when it returns, unless it has called `beside`: then when what follows has returned.

    Args:
        name: of the thread for what waits for the disk.
    """

    def __init__(self, name: str) -> None:
        self._disk = DiskThread(name)
        self._jobs: deque[Job] = deque()
        self._going = False

    def add(self, job: Job) -> None:
        """Do a job when all before it have been done: at once, if there are none."""
        self._jobs.append(job)
        self._go()

    def add_next(self, job: Job) -> None:
        """Do a job before all others that wait, but not at once."""
        self._jobs.appendleft(job)

    def beside(self, step: Step, then: Then) -> None:
        """Do a step of the present job on the thread, and what follows on the loop.

        Args:
            step: may raise.
            then: called with the exception, or None.
        """

        def ended(error: Exception | None) -> None:
            try:
                then(error)
            finally:
                self._go()

        self._disk.run(step, ended)

    def finish(self) -> None:
        """Do all that is left here and now, which blocks, and end the thread."""
        self._disk.finish()
        self._go()

    def _go(self) -> None:
        if self._going or not self._jobs or self._disk.busy:
            return
        self._going = True
        try:
            while self._jobs and not self._disk.busy:
                self._jobs.popleft()()
        finally:
            self._going = False
            # One that raises does not hold the others up.
            self._go()
