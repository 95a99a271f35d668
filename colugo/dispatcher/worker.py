"""The base of producers and listeners: threads that handle the items of a mailbox."""

import logging
import threading
import time
from collections.abc import Iterable
from typing import Any

from colugo.dispatcher.mailbox import Mailbox
from colugo.errors import LifecycleError
from colugo.patterns.base import check_count

_LOGGER = logging.getLogger(__name__)


class Worker(threading.Thread):
    """One or more threads that handle the items of a mailbox, one item after another."""

    # The prefix keeps the attributes apart from those of users' subclasses.
    def __init__(
        self, *, concurrency: int, capacity: int, name: str | None = None, daemon: bool | None = None
    ) -> None:
        check_count("concurrency", concurrency)
        check_count("capacity", capacity)
        super().__init__(name=name, daemon=daemon)
        if name is None:
            self.name = f"{type(self).__name__} {self.name.rpartition('-')[2]}"
        self._dispatch_mailbox: Mailbox[Any] = Mailbox(self, capacity)
        self._dispatch_helpers = [
            threading.Thread(target=self._handle_all, name=f"{self.name} helper {number}", daemon=daemon)
            for number in range(2, concurrency + 1)
        ]

    @property
    def waiting(self) -> int:
        """The number of items in its mailbox."""
        return len(self._dispatch_mailbox)

    @property
    def threads(self) -> list[threading.Thread]:
        """All its threads, including itself."""
        return [self, *self._dispatch_helpers]

    def start(self) -> None:
        """Start its threads.

        Raises:
            LifecycleError: if it has been started before.
        """
        if self.ident is not None:
            raise LifecycleError(f"{self.name!r} has been started already")
        super().start()
        for helper in self._dispatch_helpers:
            helper.daemon = self.daemon
            helper.start()

    def run(self) -> None:
        """Handle items until it is stopped; called by `start`."""
        self._handle_all()

    def stop(self) -> None:
        """Take no more items; those that wait are handled, then the threads end.

        It returns immediately; `join` waits. You may call it from any thread, before the start, and more than
        once.
        """
        self._dispatch_mailbox.close()

    def join(self, timeout: float | None = None) -> None:
        """Wait until all its threads have ended.

        Args:
            timeout: the longest time for each of them, in seconds; None for no limit.
        """
        super().join(timeout)
        for helper in self._dispatch_helpers:
            helper.join(timeout)

    def _handle_all(self) -> None:
        """Handle items until the mailbox is closed and empty, on each thread."""
        raise NotImplementedError


def mailbox_of(worker: Worker) -> Mailbox[Any]:
    """Return the mailbox of a worker.

    Raises:
        LifecycleError: if its class does not call the constructor of its base.
    """
    try:
        return worker._dispatch_mailbox  # noqa: SLF001 - hidden from users' subclasses, not from us
    except AttributeError:
        name = type(worker).__name__
        raise LifecycleError(
            f"{name}.__init__ must call super().__init__() before anything uses the {name}"
        ) from None


def join_all(threads: Iterable[threading.Thread], timeout_ms: float, stopped: str) -> list[threading.Thread]:
    """Wait for all started threads but the current one; log and return those that still run.

    The timeout is for all of them together; `stopped` names what has been stopped, for the log.
    """
    deadline = time.monotonic() + min(timeout_ms / 1000, threading.TIMEOUT_MAX)
    others = [one for one in threads if one is not threading.current_thread() and one.is_alive()]
    for thread in others:
        threading.Thread.join(thread, min(max(0.0, deadline - time.monotonic()), threading.TIMEOUT_MAX))
    still = [thread for thread in others if thread.is_alive()]
    if still:
        names = ", ".join(repr(thread.name) for thread in still)
        _LOGGER.warning("%d ms after stop() of %r these threads still run: %s", timeout_ms, stopped, names)
    return still
