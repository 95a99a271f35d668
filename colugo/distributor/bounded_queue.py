"""A queue of a limited length, and what happens when it is full."""

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Awaitable
from contextlib import suppress
from typing import Generic, TypeVar

from colugo.distributor.base import QUEUED, Room
from colugo.distributor.target_options import Full

_LOGGER = logging.getLogger(__name__)
T = TypeVar("T")


class BoundedQueue(Generic[T]):
    """Items that wait. When it is full, items are dropped, or those who add them wait for room.

    It counts the dropped ones, and logs when drops begin and, with their number, when they end.

    Args:
        owner: the owner's name, for the log.
        limit: items that may wait.
        full: `"drop-oldest"`, `"drop-newest"` or `"wait"`: then `add` takes more, and `room` waits.
    """

    def __init__(self, owner: str, limit: int, full: Full) -> None:
        self.items: deque[T] = deque()
        self.dropped = 0
        """Items dropped so far."""
        self._owner = owner
        self._limit = limit
        self._waits = full == "wait"
        self._oldest = full == "drop-oldest"
        self._drops_before: int | None = None
        """While items are dropped, the number of those before."""
        self._closed = False
        self._lock = threading.Lock()
        self.waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = []
        """Those who wait for room. After taking an item, call `check`."""

    @property
    def is_full(self) -> bool:
        """True if as many items wait as may."""
        return len(self.items) >= self._limit

    def add(self, item: T) -> T | None:
        """Add an item; return the one that is dropped for it, if any, which may be itself."""
        items, dropped = self.items, None
        if len(items) >= self._limit and not self._waits:
            if not self._oldest:
                self.drop()
                return item
            with suppress(IndexError):  # one who takes items was faster
                dropped = items.popleft()
                self.drop()
        items.append(item)
        if self._drops_before is not None:
            self.check()
        return dropped

    def drop(self) -> None:
        """Count an item that is dropped."""
        self.dropped += 1
        if self._drops_before is None:
            self._drops_before = self.dropped - 1
            _LOGGER.warning("%s: the queue of %d is full, messages are dropped", self._owner, self._limit)

    def check(self) -> None:
        """Note that items have been taken: drops have ended when the queue is half empty."""
        if len(self.items) <= self._limit // 2:
            self._end_drops()
        if self.waiting and not self.is_full:
            self._release()

    def take_all(self) -> list[T]:
        """Remove and return all items, one by one: others may take some meanwhile, without a lock."""
        taken: list[T] = []
        with suppress(IndexError):
            while True:
                taken.append(self.items.popleft())
        self.check()
        return taken

    def close(self) -> None:
        """Let nobody wait any more."""
        self._closed = True
        self._end_drops()
        self._release()

    def queued(self) -> Awaitable[None]:
        """Return something to await after `add`, on any loop: with `"wait"`, it waits for room."""
        return Room(self.room) if self._waits and len(self.items) >= self._limit else QUEUED

    async def room(self) -> None:
        """Wait until there is room, or the queue is closed."""
        while self.is_full and not self._closed:
            loop = asyncio.get_running_loop()
            future: asyncio.Future[None] = loop.create_future()
            with self._lock:
                self.waiting.append((loop, future))
            if not self.is_full or self._closed:  # since before the future could be seen
                self._release()
            await future

    def _end_drops(self) -> None:
        if self._drops_before is not None:
            dropped, self._drops_before = self.dropped - self._drops_before, None
            _LOGGER.warning("%s: %d messages were dropped; there is room again", self._owner, dropped)

    def _release(self) -> None:
        """Wake up all who wait, from any thread."""
        with self._lock:
            waiting, self.waiting = self.waiting, []
        for loop, future in waiting:
            if not loop.is_closed():
                loop.call_soon_threadsafe(_finish, future)


def _finish(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)
