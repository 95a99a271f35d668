"""A queue in the order of deadlines. Pure: `now` is passed in."""

import heapq
import math
from typing import Generic, TypeVar

T = TypeVar("T")

_SLACK = 4096
"""Memory is released when this many more than twice the items left have been taken."""


class Deadlines(Generic[T]):
    """Items by their deadlines; each deadline is made unique, so that it is a key.

    There may be hundreds of thousands at a time, so an item takes one entry of a dict and one of a heap of
    floats: no object that the garbage collector has to visit.
    """

    __slots__ = ("_heap", "_items", "_taken")

    def __init__(self) -> None:
        self._items: dict[float, T] = {}
        self._heap: list[float] = []
        self._taken = 0

    def __len__(self) -> int:
        return len(self._items)

    def add(self, item: T, deadline: float) -> float:
        """Add an item; return its key, which is the deadline or a little more."""
        items = self._items
        while deadline in items:
            deadline = math.nextafter(deadline, math.inf)
        items[deadline] = item
        heapq.heappush(self._heap, deadline)
        return deadline

    def take(self, key: float) -> T | None:
        """Remove and return an item; None if it has been removed."""
        item = self._items.pop(key, None)
        self._taken += 1
        if self._taken > _SLACK:
            self._release_memory()
        return item

    def take_expired(self, now: float, most: int) -> list[T]:
        """Remove and return items whose deadlines have passed, the earliest first, `most` of them."""
        expired: list[T] = []
        heap, items = self._heap, self._items
        while heap and heap[0] < now and len(expired) < most:
            item = items.pop(heapq.heappop(heap), None)
            if item is not None:
                expired.append(item)
        self._taken += len(expired)
        self._release_memory()
        return expired

    def take_all(self) -> list[T]:
        """Remove and return all items."""
        items = list(self._items.values())
        self._items = {}
        self._heap = []
        return items

    def next_deadline(self) -> float | None:
        """Return the earliest deadline; None if there is none."""
        while self._heap and self._heap[0] not in self._items:
            heapq.heappop(self._heap)
        return self._heap[0] if self._heap else None

    def _release_memory(self) -> None:
        if self._taken > _SLACK + 2 * len(self._items):
            self._taken = 0
            self._items = dict(self._items)  # a dict does not shrink by itself
            self._heap = sorted(self._items)
