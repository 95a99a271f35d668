"""What producers and listeners have in common: threads that work on a mailbox."""

import threading
from typing import Any

from colugo.dispatcher.mailbox import Mailbox
from colugo.errors import LifecycleError
from colugo.patterns.base import check_count


class Worker(threading.Thread):
    """A thread, or several, that handle what is put into a mailbox, one item after another.

    Args:
        concurrency: how many threads.
        capacity: how many items may wait.
        name: of the thread; None for one made of the class's name.
        daemon: as for any thread; None for that of the thread that makes it.
    """

    # The one attribute has a long name: subclasses have names of their own.
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
        """How many items wait in its mailbox."""
        return len(self._dispatch_mailbox)

    @property
    def threads(self) -> list[threading.Thread]:
        """All its threads, itself included."""
        return [self, *self._dispatch_helpers]

    def start(self) -> None:
        """Begin to work.

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
        """Handle what comes until it is stopped; called by `start`."""
        self._handle_all()

    def stop(self) -> None:
        """Take no more; what waits is still handled, then the threads end.

        Returns at once; `join` waits. May be called from any thread, before the start, and more than once.
        """
        self._dispatch_mailbox.close()

    def join(self, timeout: float | None = None) -> None:
        """Wait until all its threads have ended.

        Args:
            timeout: seconds to wait for each of them at most; None for no limit.
        """
        super().join(timeout)
        for helper in self._dispatch_helpers:
            helper.join(timeout)

    def _handle_all(self) -> None:
        """Handle items until the mailbox is closed and empty; each thread runs it."""
        raise NotImplementedError


def mailbox_of(worker: Worker) -> Mailbox[Any]:
    """The mailbox of a worker.

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
