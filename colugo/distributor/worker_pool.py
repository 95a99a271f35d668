"""The bounded queue of one target, and the threads that send what it holds."""

import threading
import time
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import CancelledError
from threading import get_ident
from typing import Any

from colugo.distributor.bounded_queue import BoundedQueue
from colugo.distributor.endpoint_log import EndpointLog
from colugo.distributor.outcomes import CallbackTarget, Outcomes
from colugo.distributor.receipt import Item, Receipt, settle
from colugo.distributor.sender import Sender, WorkerState
from colugo.distributor.target_options import TargetOptions, TargetStats
from colugo.errors import ClosedError

_MOST_HANGING = 10
"""Threads that may hang at a time, each with another in its place, before no more are started."""


class WorkerPool:
    """A bounded queue of messages, and daemon threads that send them.

    A thread is started when a message finds none idle, up to the number of workers. A thread that hangs ends
    with the process. After a timeout, another thread takes its place.

    Args:
        target: its methods are called for each message.
        name: of the target, for logs and threads.
        options: without None in them.
        retry_on: the exceptions after which a message is tried again.
        initializer: called first on each thread.
    """

    def __init__(
        self,
        target: CallbackTarget,
        name: str,
        options: TargetOptions,
        *,
        retry_on: tuple[type[BaseException], ...] = (Exception,),
        initializer: Callable[[], object] | None = None,
    ) -> None:
        self.name = name
        self.queue: BoundedQueue[Item] = BoundedQueue(f"target {name}", options.queue, options.full)
        self._pending = self.queue.items
        self.workers = options.workers or 1
        """Threads that send at a time."""
        self._timeout_s = (options.timeout_ms or 0) / 1000
        self._initializer = initializer
        self._lock = threading.RLock()  # a logging handler may send what is logged with it held
        self._work = threading.Condition(self._lock)
        self._quiet = threading.Condition(self._lock)
        self._closed = threading.Event()
        self._running: list[WorkerState] = []
        self._hanging = 0
        self._idle = 0
        self._started = 0
        self._watcher: threading.Thread | None = None
        self._received = 0
        self._past = WorkerState()
        self.log = EndpointLog(f"target {name}")
        self._outcomes = Outcomes(target, self.log)
        self._sender = Sender(target, self._outcomes, options, retry_on, self._lock)

    @property
    def stats(self) -> TargetStats:
        """The counters so far."""
        with self._lock:
            total = WorkerState()
            for worker in (*self._running, self._past):
                total.add(worker)
            queued, dropped = len(self._pending), self.queue.dropped
            return TargetStats(
                received=self._received,
                completed=total.completed,
                queued=queued,
                in_progress=max(0, self._received - dropped - total.ended - queued),
                dropped=dropped,
                failed=total.failed,
                timed_out=total.timed_out,
                cancelled=total.cancelled,
                retried=total.retried,
                late=total.late,
            )

    def submit(self, message: Any, receipt: Receipt | None = None) -> Awaitable[None]:
        """Queue a message, and return something to await, as `BoundedQueue.queued`.

        Raises:
            ClosedError: after `close`.
        """
        with self._lock:
            if self._closed.is_set():
                raise ClosedError(f"the target {self.name!r} is closed")
            self._received += 1
            dropped = self.queue.add((message, receipt))
            if self._idle:
                self._idle -= 1
                self._work.notify()
            elif len(self._running) < self.workers:
                self._start_worker()
        if dropped is not None:
            settle(dropped[1], CancelledError())
        return self.queue.queued()

    def fail(self, error: BaseException, receipt: Receipt | None = None) -> None:
        """Report a message that failed before it was queued, on this thread."""
        with self._lock:
            self._received += 1
            self._past.count(error)
        self._outcomes.ended(error, receipt)

    def hand_over(self, drain_s: float) -> list[Item]:
        """Finish what is being sent, stop, and return the rest, for a pool that takes this one's place.

        The rest is what was queued, or waited for its next try.
        """
        returned: list[Item] = []
        with self._lock:
            rest = self.queue.take_all()
            self._sender.returned = returned
        rest += self._stop(drain_s)
        with self._lock:
            self._sender.returned = None
            self._received -= len(returned) + len(rest)
        return returned + rest

    def close(self, drain_s: float = 0.0, *, also: Iterable[Item] = ()) -> TargetStats:
        """Try what waits once more, and stop.

        A pause before a retry ends at once. Messages that wait when the time has passed, and `also` others,
        are cancelled, on this thread; a thread that hangs is left behind, and its message is `in_progress`.
        """
        left = self._stop(drain_s)
        unsent = [*left, *also]
        with self._lock:
            self._received += len(unsent) - len(left)
            self._past.cancelled += len(unsent)
        for _, receipt in unsent:
            self._outcomes.ended(CancelledError(), receipt)
        return self.stats

    def _stop(self, drain_s: float) -> list[Item]:
        """Wait for messages, then end the threads; return what still waits."""
        deadline = time.monotonic() + drain_s
        with self._lock:
            self._sender.stopping.set()
            while not self._closed.is_set() and (
                self._pending or any(worker.busy for worker in self._running)
            ):
                left = deadline - time.monotonic()
                if left <= 0 or self._on_own_thread():
                    break
                self._quiet.wait(left)
            self._closed.set()
            rest = self.queue.take_all()
            self._work.notify_all()
            hanging = [one.receipt for one in self._running if one.busy and one.ident != get_ident()]
        for receipt in hanging:
            settle(receipt, CancelledError())
        self.queue.close()
        return rest

    def _on_own_thread(self) -> bool:
        return any(worker.ident == get_ident() for worker in self._running)

    def _start_worker(self) -> None:
        """Start a thread, unless too many hang; called with the lock."""
        if self._hanging >= _MOST_HANGING:
            return
        worker = WorkerState(busy=True)
        self._started += 1
        name = f"target {self.name} worker {self._started}"
        thread = threading.Thread(target=self._run, args=(worker,), name=name, daemon=True)
        self._running.append(worker)
        try:
            thread.start()
        except RuntimeError as error:  # no more threads; the next message tries again
            self._running.remove(worker)
            self._outcomes.warn("cannot start a thread", error)
            return
        if self._timeout_s and self._watcher is None:
            name = f"target {self.name} timeouts"
            self._watcher = threading.Thread(target=self._watch, name=name, daemon=True)
            self._watcher.start()

    def _run(self, worker: WorkerState) -> None:
        worker.ident = get_ident()
        if self._initializer is not None:
            self._outcomes.call(self._initializer)
        while (item := self._next(worker)) is not None:
            self._sender.send(worker, item)
            if worker.replaced:
                break
        with self._lock:
            if worker.replaced:
                self._hanging -= 1
                if self._pending and len(self._running) < self.workers:
                    self._start_worker()
            else:
                self._running.remove(worker)
            self._past.take(worker)

    def _next(self, worker: WorkerState) -> Item | None:
        """Wait for a message; return None when the pool is closed."""
        queue, pending = self.queue, self._pending
        while True:
            try:
                item = pending.popleft()  # atomic, so that a busy thread needs no lock
            except IndexError:
                pass
            else:
                if queue.waiting:
                    queue.check()
                return item
            with self._lock:
                if pending:
                    continue
                if self._closed.is_set():
                    return None
                worker.busy = False
                queue.check()
                self._quiet.notify_all()
                self._idle += 1  # taken back by the one that notifies
                self._work.wait()
                worker.busy = True

    def _watch(self) -> None:
        """Report messages that take too long, and replace the threads that hang with them."""
        pause = self._timeout_s
        while not self._closed.wait(pause):
            now = time.monotonic()
            pause = self._timeout_s
            overdue: list[Item] = []
            with self._lock:
                for worker in list(self._running):
                    if worker.item is None:
                        continue
                    left = worker.since + self._timeout_s - now
                    if left > 0:
                        pause = min(pause, left)
                        continue
                    overdue.append(worker.item)
                    self._replace(worker)
            for _, receipt in overdue:
                error = TimeoutError(f"{self._timeout_s * 1000:.0f} ms have passed")
                self._outcomes.ended(error, receipt)

    def _replace(self, worker: WorkerState) -> None:
        """Give the place of a thread that hangs to another; called with the lock."""
        worker.item = None
        worker.replaced = True
        worker.timed_out += 1
        self._past.take(worker)
        self._running.remove(worker)
        self._hanging += 1
        if self._hanging == _MOST_HANGING:
            error = TimeoutError(f"{_MOST_HANGING} threads hang, and so no more are started")
            self._outcomes.warn("it is stuck", error)
        if self._pending:
            self._start_worker()
        self._quiet.notify_all()
