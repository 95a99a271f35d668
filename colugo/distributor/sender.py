"""Sending one message after another on a thread: timeouts, retries, and the outcome of each."""

import threading
import time
from dataclasses import dataclass
from typing import Any

from colugo.distributor.backoff import backoff_s
from colugo.distributor.outcomes import CallbackTarget, Outcomes, is_cancellation
from colugo.distributor.receipt import Item, Receipt
from colugo.distributor.target_options import UNLIMITED, TargetOptions

_COUNTERS = ("completed", "failed", "timed_out", "cancelled", "retried", "late")


@dataclass(eq=False, slots=True)
class WorkerState:
    """The state and counters of one thread. Only that thread counts here."""

    item: Item | None = None
    """With a timeout, the message that is being sent; None between two tries."""
    since: float = 0.0
    receipt: Receipt | None = None
    """The receipt of the last message."""
    ident: int = 0
    busy: bool = False
    replaced: bool = False
    completed: int = 0
    failed: int = 0
    timed_out: int = 0
    cancelled: int = 0
    retried: int = 0
    late: int = 0

    @property
    def ended(self) -> int:
        """Messages that have had their outcome."""
        return self.completed + self.failed + self.timed_out + self.cancelled

    def count(self, error: BaseException) -> None:
        """Count a message that ended with an error."""
        if isinstance(error, TimeoutError):
            self.timed_out += 1
        elif is_cancellation(error):
            self.cancelled += 1
        else:
            self.failed += 1

    def add(self, other: "WorkerState") -> None:
        """Add the counters of another thread."""
        for name in _COUNTERS:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def take(self, other: "WorkerState") -> None:
        """Add the counters of another thread, and set those to 0."""
        self.add(other)
        for name in _COUNTERS:
            setattr(other, name, 0)


class Sender:
    """Calls `process` for a message until it has an outcome.

    Its lock guards the `item` of each worker, and `returned`. The options have no None in them.
    """

    def __init__(
        self,
        target: CallbackTarget,
        outcomes: Outcomes,
        options: TargetOptions,
        retry_on: tuple[type[BaseException], ...],
        lock: threading.RLock,
    ) -> None:
        self._target = target
        self._outcomes = outcomes
        self._options = options
        self._retries = options.retries or 0
        self._watched = bool(options.timeout_ms)
        self._retry_on = retry_on
        self._lock = lock
        self.stopping = threading.Event()
        """Set to end the pauses before a retry: each message is tried once more, at once."""
        self.returned: list[Item] | None = None
        """If set, takes the messages that wait for their next try, instead."""

    def send(self, worker: WorkerState, item: Item) -> None:
        """Send one message, with retries, and report its outcome."""
        message, receipt = item
        worker.receipt = receipt
        tries = 0
        while True:
            last = self.stopping.is_set()
            if self._watched:
                worker.since = time.monotonic()
                worker.item = item
            error: BaseException | None = None
            result: Any = None
            try:
                result = self._target.process(message)
            except BaseException as raised:  # noqa: BLE001 - handed to on_error
                error = raised
            if self._watched and not self._claim(worker, item):
                worker.late += 1
                return
            if error is None:
                worker.completed += 1
                self._outcomes.completed(result, receipt)
                return
            if last or not self._may_retry(tries, error):
                break
            tries += 1
            worker.retried += 1
            self._outcomes.warn("a try failed, and another one follows", error)
            self.stopping.wait(backoff_s(tries, self._options.retry_ms, self._options.max_retry_ms))
            if self.returned is not None and self._give_back(worker, item):
                return
        worker.count(error)
        self._outcomes.ended(error, receipt)

    def _may_retry(self, tries: int, error: BaseException) -> bool:
        if not isinstance(error, self._retry_on) or is_cancellation(error):
            return False
        return self._retries == UNLIMITED or tries < self._retries

    def _claim(self, worker: WorkerState, item: Item) -> bool:
        """Take the message back from the one that watches for timeouts; False if it has timed out."""
        with self._lock:
            mine = worker.item is item
            worker.item = None
            return mine

    def _give_back(self, worker: WorkerState, item: Item) -> bool:
        """Put the message into `returned`; False if that is too late."""
        with self._lock:
            if self.returned is None:
                return False
            worker.receipt = None
            self.returned.append(item)
            return True
