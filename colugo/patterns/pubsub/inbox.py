"""The bounded queue of a subscriber."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any


class Inbox:
    """A queue of messages that drops and counts the oldest when it is full.

    Args:
        limit: the number of messages that may wait.

    Attributes:
        limit: the number of messages that may wait.
        dropped: the number of dropped messages.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._items: deque[Any] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._closed = False
        self.dropped = 0
        self._on_room: Callable[[], None] | None = None

    def __len__(self) -> int:
        return len(self._items)

    @property
    def room(self) -> int:
        """The number of messages that it takes without dropping one."""
        return self.limit - len(self._items)

    def put(self, items: Iterable[Any]) -> None:
        """Add items."""
        self._items.extend(items)
        while len(self._items) > self.limit:
            self._items.popleft()
            self.dropped += 1
        self._wake()

    async def get(self) -> Any:
        """Wait for the next item and return it.

        Raises:
            StopAsyncIteration: if the inbox is closed and empty.
        """
        if not self._items:
            await self._wait()
        item = self._items.popleft()
        self._taken()
        return item

    async def get_all(self) -> list[Any]:
        """Wait for at least one item and return all.

        Raises:
            StopAsyncIteration: if the inbox is closed and empty.
        """
        if not self._items:
            await self._wait()
        items = list(self._items)
        self._items.clear()
        self._taken()
        return items

    def close(self) -> None:
        """Close the inbox; waiting items can still be taken."""
        self._closed = True
        self._wake()

    def call_on_room(self, callback: Callable[[], None]) -> None:
        """Call back once, when the next item is taken from the full queue."""
        self._on_room = callback

    def count_dropped(self, count: int) -> None:
        """Count items that were taken and not delivered."""
        self.dropped += count

    async def _wait(self) -> None:
        while not self._items:
            if self._closed:
                raise StopAsyncIteration
            waiter = self._waiter
            if waiter is None or waiter.done():
                waiter = self._waiter = asyncio.get_running_loop().create_future()
            await asyncio.shield(waiter)

    def _taken(self) -> None:
        if self._on_room is not None:
            on_room, self._on_room = self._on_room, None
            on_room()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
