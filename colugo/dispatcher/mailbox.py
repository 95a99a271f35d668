"""The queue of one worker; putting an item in takes no lock."""

import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Generic, TypeVar

from colugo.errors import ClosedError, FlowError

T = TypeVar("T")


class Mailbox(Generic[T]):
    """A bounded queue for one or several threads of one owner."""

    __slots__ = ("_closed", "_guard", "_items", "_limit", "_sleepers", "owner")

    def __init__(self, owner: object, capacity: int) -> None:
        self.owner = owner
        self._limit = capacity
        self._closed = False
        self._items: deque[T] = deque()
        self._guard = threading.RLock()  # a signal handler may call stop() within a purge
        """Protects taking items out; putting one in is one atomic call."""
        self._sleepers: deque[threading.Lock] = deque()
        """One lock for each sleeping thread, held until an item comes for it."""

    def __len__(self) -> int:
        return len(self._items)

    @property
    def closed(self) -> bool:
        """True once it takes no more items."""
        return self._closed

    def put(self, item: T) -> bool:
        """Put an item in, from any thread; return False if it is full or closed."""
        if len(self._items) >= self._limit:
            return False
        self._items.append(item)
        if self._sleepers:
            self._wake_one()
        return True

    def get(self) -> T | None:
        """Take the oldest item, waiting for one; return None once it is closed and empty."""
        while True:
            with self._guard:
                if self._items:
                    return self._items.popleft()
                if self._closed:
                    return None
                gate = threading.Lock()
                gate.acquire()
                self._sleepers.append(gate)
                if self._items or self._closed:  # put in before this thread was known to sleep
                    with suppress(ValueError):  # woken already
                        self._sleepers.remove(gate)
                    continue
            gate.acquire()  # until another thread releases it

    def purge(self, wanted: Callable[[T], bool]) -> None:
        """Remove items that are not wanted any more; `wanted` must not use the mailbox."""
        with self._guard:
            # without iterating: other threads may put items in meanwhile
            taken = [self._items.popleft() for _ in range(len(self._items))]
            self._items.extendleft(reversed([item for item in taken if wanted(item)]))

    def refusal(self) -> Exception:
        """Return the reason that an item was not taken."""
        if self._closed:
            return ClosedError(f"{self.owner!r} has been stopped")
        return FlowError(f"{len(self._items)} items wait for {self.owner!r} already: its capacity")

    def close(self) -> None:
        """Take no more items; those in it can still be taken out. A second time is a no-op."""
        self._limit = 0
        self._closed = True
        while self._sleepers:
            self._wake_one()

    def clear(self) -> None:
        """Remove all items."""
        with self._guard:
            self._items.clear()

    def _wake_one(self) -> None:
        with suppress(IndexError):  # another thread was quicker
            self._sleepers.popleft().release()
