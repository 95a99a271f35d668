"""A subscription's bounded queue."""

import asyncio
from collections import deque
from typing import Any


class Inbox:
    """Messages that wait for a coroutine; when it is full, the oldest one is dropped and counted.

    Args:
        limit: how many messages may wait.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._items: deque[Any] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._closed = False
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: Any) -> None:
        """Add an item."""
        if len(self._items) >= self._limit:
            self._items.popleft()
            self.dropped += 1
        self._items.append(item)
        self._wake()

    async def get(self) -> Any:
        """The next item.

        Raises:
            StopAsyncIteration: when the inbox is closed and empty.
        """
        while not self._items:
            if self._closed:
                raise StopAsyncIteration
            waiter = self._waiter
            if waiter is None or waiter.done():
                waiter = self._waiter = asyncio.get_running_loop().create_future()
            await asyncio.shield(waiter)
        return self._items.popleft()

    def close(self) -> None:
        """End: what waits can still be taken."""
        self._closed = True
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
