"""The requests that are not over, and the clock that ends them."""

import logging
import math
import threading
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from colugo.dispatcher.deadline_heap import Deadlines
from colugo.dispatcher.mailbox import Mailbox
from colugo.dispatcher.request import Request
from colugo.errors import ClosedError
from colugo.protocol.throttle import Throttle

_LOGGER = logging.getLogger(__name__)
_PACE_S = 0.01
"""The shortest sleep of the clock, so that one purge of the mailboxes serves many deadlines."""
_LONGEST_S = 3600.0
"""The longest sleep of the clock; centuries would be an OverflowError."""
_GRACE_S = 0.5
"""The time after its request's deadline that a survey has to end, if its node's loop is blocked."""
_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class DispatcherStats:
    """The counters of a dispatcher; with a node, requests of other nodes to its producers are included.

    Attributes:
        requests: requests begun.
        results: results in time.
        errors: producers that raised, could not take a request, or were lost.
        silent: producers that did not answer in time.
        late: answers that came after the ttl, and were dropped.
        dropped: results, errors and summaries that a listener could not take: it had been stopped, or its
            mailbox was full.
        pending: requests that are not over yet.
    """

    requests: int
    results: int
    errors: int
    silent: int
    late: int
    dropped: int
    pending: int


class OpenRequests:
    """Decides which answers are in time, and which is the last of a request.

    The lock is held for a few statements, which run no user code. It is reentrant, because a signal handler
    may interrupt them. The counters are those of `DispatcherStats`.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._pending: Deadlines[Request] = Deadlines()
        self._closed = False
        self._next = math.inf
        """The deadline that the clock sleeps for."""
        self._alarm = threading.Lock()
        """Held while the clock may sleep. Not an Event: a signal handler may interrupt its `set`."""
        self._alarm.acquire()
        self._throttle = Throttle()
        self.requests = self.results = self.errors = self.silent = self.late = 0

    def stats(self, *, dropped: int) -> DispatcherStats:
        """Return the counters so far, with one that is counted elsewhere."""
        return DispatcherStats(
            requests=self.requests,
            results=self.results,
            errors=self.errors,
            silent=self.silent,
            late=self.late,
            dropped=dropped,
            pending=len(self._pending),
        )

    def begin(self, request: Request) -> None:
        """Begin to track a request.

        Raises:
            ClosedError: if the dispatcher has been stopped.
        """
        with self._lock:
            if self._closed:
                raise ClosedError("the dispatcher has been stopped; make a new one")
            self.requests += 1
            if not request.left:
                self._end(request, time.monotonic())
                return
            grace_s = _GRACE_S if request.surveyed else 0.0
            request.key = self._pending.add(request, request.deadline + grace_s)
            if request.key < self._next:
                self._next = request.key
                self._wake()

    def answered(self, request: Request, value: Any) -> bool:
        """Take the result of a producer; return True if it was in time."""
        now = time.monotonic()
        with self._lock:
            if request.over or now > request.deadline:
                self.late += 1
                return False
            self.results += 1
            request.results += 1
            request.left -= 1
            request.sink.on_result(request, value)
            if not request.left:
                self._pending.take(request.key)
                self._end(request, now)
        return True

    def failed(self, request: Request, producer: object, error: BaseException) -> bool:
        """Take the error of a producer; return True if it was in time. Log it if no listener takes it."""
        now = time.monotonic()
        with self._lock:
            if request.over or now > request.deadline:
                self.late += 1
                return False
            self.errors += 1
            request.errors += 1
            request.left -= 1
            taken = request.sink.on_error(request, producer, error)
            if not request.left:
                self._pending.take(request.key)
                self._end(request, now)
        if not taken:
            self._log_error(request, producer, error, now)
        return True

    def remote_answered(self, request: Request, value: Any) -> None:
        """Take a result from another node."""
        now = time.monotonic()
        with self._lock:
            if request.over:
                self.late += 1
                return
            request.asked += 1
            if now > request.deadline:  # read before the survey's timer, by a loop that was blocked
                self.late += 1
                request.silent += 1
                return
            self.results += 1
            request.results += 1
            request.sink.on_result(request, value)

    def survey_ended(self, request: Request, errors: Mapping[Any, BaseException], silent: int) -> None:
        """Take the end of the survey of other nodes, with the producers that have given no result."""
        now = time.monotonic()
        with self._lock:
            if request.over:  # by `close`, or after its grace
                return
            request.asked += len(errors) + silent
            request.errors += len(errors)
            request.silent += silent
            request.left -= 1
            request.surveyed = False
            self.errors += len(errors)
            taken = [request.sink.on_error(request, producer, error) for producer, error in errors.items()]
            self._pending.take(request.key)
            if request.left and now <= request.deadline:
                request.key = self._pending.add(request, request.deadline)
                if request.key < self._next:
                    self._next = request.key
                    self._wake()
            else:
                self._end(request, now)
        if request.over:
            _purge(request.mailboxes)
        if not all(taken):
            for producer, error in errors.items():
                self._log_error(request, producer, error, now)

    def keep_time(self) -> None:
        """End requests at their deadlines until it is closed, on the dispatcher's thread."""
        while True:
            with self._lock:
                if self._closed:
                    return
                deadline = self._pending.next_deadline()
                self._next = math.inf if deadline is None else deadline
                self._alarm.acquire(blocking=False)
            now = time.monotonic()
            rest_s = _LONGEST_S if deadline is None else min(max(deadline - now, _PACE_S), _LONGEST_S)
            self._alarm.acquire(timeout=rest_s)
            self._expire(time.monotonic())

    def close(self) -> None:
        """End all requests; producers that have not answered count as silent. A second time is a no-op."""
        with self._lock:
            self._closed = True
            self._wake()
            now = time.monotonic()
            for request in self._pending.take_all():
                self._end(request, now)

    def _wake(self) -> None:
        with suppress(RuntimeError):  # woken already
            self._alarm.release()

    def _expire(self, now: float) -> None:
        while True:
            with self._lock:
                expired = self._pending.take_expired(now, _AT_ONCE)
                for request in expired:
                    self._end(request, now)
            _purge({mailbox for request in expired for mailbox in request.mailboxes})
            if len(expired) < _AT_ONCE:
                return

    def _end(self, request: Request, now: float) -> None:
        request.over = True
        request.silent += request.left - request.surveyed
        self.silent += request.silent
        request.sink.on_done(request, now)

    def _log_error(self, request: Request, producer: object, error: BaseException, now: float) -> None:
        with self._lock:
            more = self._throttle.note((id(producer), type(error)), now)
        if more is not None:
            _LOGGER.error("%r failed on %s%s", producer, request.topic, more, exc_info=error)


def _purge(mailboxes: Iterable[Mailbox[Request]]) -> None:
    """Remove requests that are over from the mailboxes in which they still wait."""
    for mailbox in mailboxes:
        mailbox.purge(lambda request: not request.over)
