"""The requests that are not over yet, and the clock that ends them."""

import logging
import math
import threading
import time
from collections.abc import Iterable
from typing import Any

from colugo.dispatcher.deadlines import Deadlines
from colugo.dispatcher.mailbox import Mailbox
from colugo.dispatcher.request import Request
from colugo.errors import ClosedError
from colugo.protocol.throttle import Throttle

_LOGGER = logging.getLogger(__name__)
_PACE_S = 0.01
"""How long the clock rests at least, so that many deadlines are met by one look at the mailboxes."""
_LONGEST_S = 3600.0
"""Waiting for centuries is an OverflowError."""
_AT_ONCE = 256
_LOG_PERIOD_S = 60.0


class Ledger:
    """Decides what is in time and what is not, and which answer is the last.

    The lock is held for a few statements, which run no user code. A signal handler may come between them,
    so its thread may take it again.

    Attributes:
        requests: how many have been begun.
        results: how many have come in time.
        errors: the same of errors.
        silent: how many producers have not answered in time.
        late: how many answers came when nobody waited for them any more.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._pending: Deadlines[Request] = Deadlines()
        self._closed = False
        self._next = math.inf
        """When the clock will look."""
        self._alarm = threading.Event()
        self._throttle = Throttle(_LOG_PERIOD_S)
        self.requests = self.results = self.errors = self.silent = self.late = 0

    def __len__(self) -> int:
        return len(self._pending)

    def begin(self, request: Request) -> None:
        """Take in a request.

        Raises:
            ClosedError: if it has been closed.
        """
        with self._lock:
            if self._closed:
                raise ClosedError("the dispatcher has been stopped; make a new one")
            self.requests += 1
            if not request.left:
                self._end(request, time.monotonic())
                return
            deadline = request.deadline = self._pending.add(request, request.deadline)
            if deadline < self._next:
                self._next = deadline
                self._alarm.set()

    def answered(self, request: Request, value: Any) -> bool:
        """Take the result of a producer; whether it was in time."""
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
                self._pending.take(request.deadline)
                self._end(request, now)
        return True

    def failed(self, request: Request, producer: object, error: BaseException) -> bool:
        """Take the error of a producer; whether it was in time. One that nobody takes is logged."""
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
                self._pending.take(request.deadline)
                self._end(request, now)
            held = None if taken else self._throttle.admit((id(producer), type(error)), now)
        if held is not None:
            more = f" ({held} more like it in the last minute)" if held else ""
            _LOGGER.error("%r failed on %s%s", producer, request.topic, more, exc_info=error)
        return True

    def keep_time(self) -> None:
        """End requests whose time is up, until it is closed; the dispatcher's thread runs it."""
        while True:
            with self._lock:
                if self._closed:
                    return
                deadline = self._pending.next_deadline()
                self._next = math.inf if deadline is None else deadline
                self._alarm.clear()
            now = time.monotonic()
            self._alarm.wait(None if deadline is None else min(max(deadline - now, _PACE_S), _LONGEST_S))
            self._expire(time.monotonic())

    def close(self) -> None:
        """End all requests; who has not answered has stayed silent. A second time is a no-op."""
        with self._lock:
            self._closed = True
            self._alarm.set()
            now = time.monotonic()
            for request in self._pending.take_all():
                self._end(request, now)

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
        self.silent += request.left
        request.sink.on_done(request, now)


def _purge(mailboxes: Iterable[Mailbox[Request]]) -> None:
    """Take requests that are over out of the mailboxes where nobody has got to them."""
    for mailbox in mailboxes:
        mailbox.purge(lambda request: not request.over)
