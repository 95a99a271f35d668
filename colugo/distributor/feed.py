"""The queue between one source and the targets of its messages."""

import asyncio
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Generator
from typing import Any

from colugo.distributor.base import QUEUED
from colugo.distributor.drop_log import DropLog

_A_TURN = 200
"""Messages that are distributed in one turn of the loop."""


class _Room(Awaitable[None]):
    """The room in a feed, to wait for; it may be thrown away."""

    __slots__ = ("_feed",)

    def __init__(self, feed: "Feed") -> None:
        self._feed = feed

    def __await__(self) -> Generator[Any, None, None]:
        return self._feed.room().__await__()


class Feed:
    """A bounded queue: a source fills it from any thread, the loop empties it.

    When it is full, a source on another thread waits within its call; a source on the loop waits by awaiting
    what the call returns. A source on the loop that does not await loses what comes when the queue is twice
    as long; that is counted and logged.

    Args:
        name: of the source.
        limit: messages that may wait.
    """

    def __init__(self, name: str, limit: int) -> None:
        self.name = name
        self.received = 0
        """Messages of the source so far."""
        self.closed = False
        """True if no further messages are taken."""
        self._limit = limit
        self._pending: deque[Any] = deque()
        self._drops = DropLog(f"source {name}", 2 * limit)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._loop_thread = 0
        self._arrived = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()
        self._lock = threading.Lock()
        self._room = threading.Condition(self._lock)
        self._waiting: list[asyncio.Future[None]] = []

    def __len__(self) -> int:
        return len(self._pending)

    @property
    def dropped(self) -> int:
        """Messages that the source gave without waiting while there was no room."""
        return self._drops.dropped

    def put(self, message: Any) -> Awaitable[None]:
        """Take a message from the source, on any thread.

        Returns:
            Something to await on the loop: it waits while the queue is full.
        """
        if self._loop is None or threading.get_ident() == self._loop_thread:
            if self._append(message):
                self._arrived.set()
            return QUEUED if len(self._pending) < self._limit else _Room(self)
        with self._lock:
            while len(self._pending) >= self._limit and not self.closed:
                self._room.wait()
            first = not self._pending
            taken = self._append(message)
        if taken and first:
            self._loop.call_soon_threadsafe(self._arrived.set)
        return QUEUED

    def _append(self, message: Any) -> bool:
        if self.closed:
            return False
        self.received += 1
        if len(self._pending) >= 2 * self._limit:
            self._drops.drop()
            return False
        self._pending.append(message)
        return True

    async def room(self) -> None:
        """Wait, on the loop, until there is room."""
        while len(self._pending) >= self._limit and not self.closed:
            future = asyncio.get_running_loop().create_future()
            self._waiting.append(future)
            await future

    async def run(
        self, distribute: Callable[[Any], Awaitable[None] | None], delay: Callable[[], float]
    ) -> None:
        """Distribute the messages, until the task is cancelled.

        Args:
            distribute: called with each message; what it returns is awaited.
            delay: returns the pause after each message, in seconds.
        """
        self._loop, self._loop_thread = asyncio.get_running_loop(), threading.get_ident()
        pending = self._pending
        while True:
            if not pending:
                self._empty.set()
                self._arrived.clear()
                if not pending:
                    await self._arrived.wait()
            self._empty.clear()
            for _ in range(min(len(pending), _A_TURN)):
                waits = distribute(pending.popleft())
                if waits is not None:
                    await waits
                if pause := delay():
                    await asyncio.sleep(pause)
            self._drops.check(len(pending))
            self._release()
            await asyncio.sleep(0)

    async def flush(self) -> None:
        """Wait until everything has been distributed."""
        if self._pending:
            self._empty.clear()
        await self._empty.wait()

    def close(self) -> None:
        """Take no further messages."""
        self.closed = True
        self._drops.end()
        self._release()

    def _release(self) -> None:
        """Wake up a source that waits for room."""
        if len(self._pending) < self._limit or self.closed:
            with self._lock:
                self._room.notify_all()
            waiting, self._waiting = self._waiting, []
            for future in waiting:
                if not future.done():
                    future.set_result(None)
