"""The bounded queue of one target, and the threads that send what it holds."""

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Generator
from concurrent.futures import CancelledError
from dataclasses import dataclass
from typing import Any, Protocol

from colugo.distributor.backoff import backoff_s
from colugo.distributor.base import QUEUED
from colugo.distributor.drop_log import DropLog
from colugo.distributor.receipt import Receipt
from colugo.distributor.target_options import UNLIMITED, TargetOptions, TargetStats
from colugo.errors import ClosedError
from colugo.protocol.throttle import Throttle

_LOGGER = logging.getLogger(__name__)
_MOST_REPLACED = 10
"""Threads that may hang, each of them replaced, before the target gives up."""
_COUNTERS = ("completed", "failed", "timed_out", "cancelled", "retried", "late")


class PoolTarget(Protocol):
    """What a pool calls, on its threads: `process`, then exactly one of the others."""

    def process(self, message: Any) -> Any:
        """Send a message."""

    def on_complete(self, result: Any) -> Any:
        """React to what `process` returned."""

    def on_timeout(self, result: None) -> Any:
        """React to a timeout."""

    def on_cancel(self, result: None) -> Any:
        """React to a message that is not sent any more."""

    def on_error(self, exception: BaseException) -> Any:
        """React to what `process` raised."""


Item = tuple[Any, Receipt | None]


class Room(Awaitable[None]):
    """The room in the queue of a pool, to wait for; it may be thrown away without a warning."""

    __slots__ = ("_pool",)

    def __init__(self, pool: "WorkerPool") -> None:
        self._pool = pool

    def __await__(self) -> Generator[Any, None, None]:
        """Wait until fewer messages wait than may."""
        return self._pool.room().__await__()


@dataclass(eq=False, slots=True)
class _Worker:
    """The state and counters of one thread. Only that thread counts here."""

    item: Item | None = None
    """The message that is being sent; None between two tries."""
    since: float = 0.0
    ident: int = 0
    busy: bool = False
    replaced: bool = False
    completed: int = 0
    failed: int = 0
    timed_out: int = 0
    cancelled: int = 0
    retried: int = 0
    late: int = 0

    def add(self, other: "_Worker") -> None:
        """Add the counters of another thread."""
        for name in _COUNTERS:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def take(self, other: "_Worker") -> None:
        """Add the counters of another thread, and set those to 0."""
        self.add(other)
        for name in _COUNTERS:
            setattr(other, name, 0)


class WorkerPool:
    """A bounded queue of messages, and daemon threads that send them.

    A thread is started when a message finds none idle, up to the number of workers. A thread that hangs ends
    with the process. After a timeout, another thread takes its place.

    Args:
        target: what is called for each message.
        name: of the target, for logs and threads.
        options: without None in them.
        retry_on: the exceptions after which a message is tried again.
        initializer: called first on each thread.
    """

    def __init__(
        self,
        target: PoolTarget,
        name: str,
        options: TargetOptions,
        *,
        retry_on: tuple[type[BaseException], ...] = (Exception,),
        initializer: Callable[[], object] | None = None,
    ) -> None:
        self._target = target
        self.name = name
        self._options = options
        self._limit = options.queue
        self._workers = options.workers or 1
        self._timeout_s = (options.timeout_ms or 0) / 1000
        self._retries = options.retries or 0
        self._retry_on = retry_on
        self._initializer = initializer
        self._pending: deque[Item] = deque()
        self._lock = threading.Lock()
        self._work = threading.Condition(self._lock)
        self._quiet = threading.Condition(self._lock)
        self._hurry = threading.Event()
        self._stopped = threading.Event()
        self._closed = False
        self._running: list[_Worker] = []
        self._idle = 0
        self._replaced = 0
        self._numbered = 0
        self._watcher: threading.Thread | None = None
        self._received = 0
        self._drops = DropLog(f"target {name}", options.queue)
        self._ended = _Worker()
        self._waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = []
        self._throttle = Throttle()

    # --- from any thread

    @property
    def full(self) -> bool:
        """True if as many messages wait as may."""
        return len(self._pending) >= self._limit

    @property
    def stats(self) -> TargetStats:
        """What has become of the messages so far."""
        with self._lock:
            total = _Worker()
            for worker in (*self._running, self._ended):
                total.add(worker)
            return TargetStats(
                received=self._received,
                completed=total.completed,
                queued=len(self._pending),
                in_progress=sum(worker.busy for worker in self._running),
                dropped=self._drops.dropped,
                failed=total.failed,
                timed_out=total.timed_out,
                cancelled=total.cancelled,
                retried=total.retried,
                late=total.late,
            )

    def submit(self, message: Any, receipt: Receipt | None = None) -> Awaitable[None]:
        """Queue a message.

        Args:
            message: what `process` is called with.
            receipt: settled when the message is.

        Returns:
            Something to await: with `full="wait"` and a full queue, until there is room.

        Raises:
            ClosedError: after `close`.
        """
        full = self._options.full
        with self._lock:
            if self._closed:
                raise ClosedError(f"the target {self.name!r} is closed")
            self._received += 1
            pending = self._pending
            if len(pending) >= self._limit and full != "wait" and not self._make_room(full, receipt):
                return QUEUED
            pending.append((message, receipt))
            self._drops.check(len(pending))
            if self._idle:
                self._idle -= 1
                self._work.notify()
            elif len(self._running) < self._workers:
                self._start_worker()
        if full == "wait" and len(pending) >= self._limit:
            return Room(self)
        return QUEUED

    async def room(self) -> None:
        """Wait until fewer messages wait than may."""
        while self.full and not self._closed:
            loop = asyncio.get_running_loop()
            future: asyncio.Future[None] = loop.create_future()
            with self._lock:
                if not self.full:
                    return
                self._waiting.append((loop, future))
            await future

    def fail(self, error: BaseException, receipt: Receipt | None = None) -> None:
        """Report a message that failed before it was queued, on this thread."""
        with self._lock:
            self._received += 1
            self._ended.failed += 1
        self._settle_error(error, receipt)

    def take_pending(self) -> list[Item]:
        """Remove and return what waits, for a pool that takes this one's place."""
        with self._lock:
            taken = list(self._pending)
            self._pending.clear()
            self._received -= len(taken)
        return taken

    def close(self, drain_s: float = 0.0) -> TargetStats:
        """Try what waits once more, and stop.

        A pause before a retry ends at once. What still waits in the end is cancelled, on this thread; a
        thread that hangs is left behind.

        Args:
            drain_s: seconds to wait for messages that wait or are being sent.

        Returns:
            The counters, in the end; `in_progress` are messages that threads hang with.
        """
        self._hurry.set()
        deadline = time.monotonic() + drain_s
        with self._lock:
            while not self._closed and (self._pending or any(worker.busy for worker in self._running)):
                left = deadline - time.monotonic()
                if left <= 0 or self._on_own_thread():
                    break
                self._quiet.wait(left)
            self._closed = True
            rest = list(self._pending)
            self._pending.clear()
            self._ended.cancelled += len(rest)
            self._work.notify_all()
            self._drops.end()
        self._stopped.set()
        self._release()
        for _, receipt in rest:
            self._call(self._target.on_cancel, None)
            if receipt is not None:
                receipt.settle(CancelledError())
        return self.stats

    # --- queue

    def _make_room(self, full: str, receipt: Receipt | None) -> bool:
        """Drop a message; return False if it is the newest."""
        if full == "drop-oldest":
            try:
                _, receipt = self._pending.popleft()
            except IndexError:  # a worker was faster
                return True
        self._drops.drop()
        if receipt is not None:
            receipt.settle(CancelledError())
        return full == "drop-oldest"

    def _release(self) -> None:
        """Wake up all that wait for room."""
        with self._lock:
            waiting, self._waiting = self._waiting, []
        for loop, future in waiting:
            if not loop.is_closed():
                loop.call_soon_threadsafe(_finish, future)

    # --- threads

    def _on_own_thread(self) -> bool:
        return any(worker.ident == threading.get_ident() for worker in self._running)

    def _start_worker(self) -> None:
        """Start a thread; called with the lock."""
        worker = _Worker(busy=True)
        self._running.append(worker)
        self._numbered += 1
        name = f"target {self.name} worker {self._numbered}"
        threading.Thread(target=self._run, args=(worker,), name=name, daemon=True).start()
        if self._timeout_s and self._watcher is None:
            name = f"target {self.name} timeouts"
            self._watcher = threading.Thread(target=self._watch, name=name, daemon=True)
            self._watcher.start()

    def _run(self, worker: _Worker) -> None:
        worker.ident = threading.get_ident()
        if self._initializer is not None:
            self._call(self._initializer)
        while (item := self._next(worker)) is not None:
            self._handle(worker, item)
            if worker.replaced:
                break
        with self._lock:
            if not worker.replaced:
                self._running.remove(worker)
            self._ended.take(worker)

    def _next(self, worker: _Worker) -> Item | None:
        """Wait for a message; return None when the pool is closed."""
        pending = self._pending
        while True:
            try:
                item = pending.popleft()  # atomic, so that a busy thread needs no lock
            except IndexError:
                pass
            else:
                if self._waiting and len(pending) < self._limit:
                    self._release()
                return item
            with self._lock:
                if pending:
                    continue
                if self._closed:
                    return None
                worker.busy = False
                self._drops.check(0)
                self._quiet.notify_all()
                self._idle += 1  # taken back by the one that notifies
                self._work.wait()
                worker.busy = True

    def _handle(self, worker: _Worker, item: Item) -> None:
        """Send one message, with retries, and report its one outcome."""
        message, receipt = item
        tries = 0
        while True:
            if self._timeout_s:
                worker.since = time.monotonic()
                worker.item = item
            error: BaseException | None = None
            result: Any = None
            try:
                result = self._target.process(message)
            except BaseException as raised:  # noqa: BLE001 - handed to on_error
                error = raised
            if self._timeout_s and not self._claim(worker, item):
                worker.late += 1
                return
            if error is None:
                worker.completed += 1
                self._call(self._target.on_complete, result)
                if receipt is not None:
                    receipt.settle(None)
                return
            if not self._may_retry(tries, error):
                break
            tries += 1
            worker.retried += 1
            self._report(f"try {tries} failed, the next one follows", error)
            self._hurry.wait(backoff_s(tries, self._options.retry_ms, self._options.max_retry_ms))
        self._count(worker, error)
        self._settle_error(error, receipt)

    def _may_retry(self, tries: int, error: BaseException) -> bool:
        if self._hurry.is_set() or not isinstance(error, self._retry_on) or isinstance(error, CancelledError):
            return False
        return self._retries == UNLIMITED or tries < self._retries

    def _claim(self, worker: _Worker, item: Item) -> bool:
        """Take the message back from the watcher; False if it has timed out."""
        with self._lock:
            mine = worker.item is item
            worker.item = None
            return mine

    def _watch(self) -> None:
        """Report messages that take too long, and replace the threads that hang with them."""
        pause = self._timeout_s
        while not self._stopped.wait(pause):
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
                    worker.item = None
                    self._ended.timed_out += 1
                    self._replace(worker)
            for _, receipt in overdue:
                self._settle_error(TimeoutError(f"{self._options.timeout_ms} ms have passed"), receipt)

    def _replace(self, worker: _Worker) -> None:
        """Give the place of a thread that hangs to another; called with the lock."""
        if self._replaced >= _MOST_REPLACED:
            if self._replaced == _MOST_REPLACED:
                self._replaced += 1
                _LOGGER.error("target %s: %d threads hang, no more are started", self.name, _MOST_REPLACED)
            return
        self._replaced += 1
        worker.replaced = True
        self._running.remove(worker)
        self._ended.take(worker)
        self._start_worker()

    # --- outcomes

    def _count(self, worker: _Worker, error: BaseException) -> None:
        if isinstance(error, TimeoutError):
            worker.timed_out += 1
        elif isinstance(error, CancelledError | asyncio.CancelledError):
            worker.cancelled += 1
        else:
            worker.failed += 1

    def _settle_error(self, error: BaseException, receipt: Receipt | None) -> None:
        if isinstance(error, TimeoutError):
            self._report("a message timed out", error)
            self._call(self._target.on_timeout, None)
        elif isinstance(error, CancelledError | asyncio.CancelledError):
            self._call(self._target.on_cancel, None)
        else:
            self._report("a message failed", error)
            self._call(self._target.on_error, error)
        if receipt is not None:
            receipt.settle(error)

    def _report(self, what: str, error: BaseException) -> None:
        note = self._throttle.note((what, type(error)), time.monotonic())
        if note is not None:
            _LOGGER.warning("target %s: %s: %s: %s%s", self.name, what, type(error).__name__, error, note)

    def _call(self, function: Callable[..., Any], *args: Any) -> None:
        try:
            function(*args)
        except BaseException:
            _LOGGER.exception("target %s: %s raised", self.name, getattr(function, "__name__", function))


def _finish(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)
