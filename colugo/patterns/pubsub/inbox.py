"""A subscription's bounded queue."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any


class Inbox:
    """Messages that wait for a coroutine or thread; when it is full, the oldest are dropped and counted.

    Args:
        limit: how many messages may wait.

    Attributes:
        dropped: messages that were dropped.
        on_room: called when something has been taken, if it was full; None to have it not called.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._items: deque[Any] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._closed = False
        self.dropped = 0
        self.on_room: Callable[[], None] | None = None

    def __len__(self) -> int:
        return len(self._items)

    @property
    def room(self) -> int:
        """How many more messages it takes without dropping one."""
        return self._limit - len(self._items)

    def put(self, items: Iterable[Any]) -> None:
        """Add items."""
        self._items.extend(items)
        while len(self._items) > self._limit:
            self._items.popleft()
            self.dropped += 1
        self._wake()

    async def get(self) -> Any:
        """The next item.

        Raises:
            StopAsyncIteration: when the inbox is closed and empty.
        """
        if not self._items:
            await self._some()
        item = self._items.popleft()
        self._taken()
        return item

    async def get_all(self) -> list[Any]:
        """All items that wait, at least one.

        Raises:
            StopAsyncIteration: when the inbox is closed and empty.
        """
        if not self._items:
            await self._some()
        items = list(self._items)
        self._items.clear()
        self._taken()
        return items

    def close(self) -> None:
        """End: what waits can still be taken."""
        self._closed = True
        self._wake()

    async def _some(self) -> None:
        while not self._items:
            if self._closed:
                raise StopAsyncIteration
            waiter = self._waiter
            if waiter is None or waiter.done():
                waiter = self._waiter = asyncio.get_running_loop().create_future()
            await asyncio.shield(waiter)

    def _taken(self) -> None:
        if self.on_room is not None:
            self.on_room()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
