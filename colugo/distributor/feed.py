"""One source, and the queue between it and the targets of its messages."""

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from colugo.distributor.base import QUEUED, AbstractDistributionSource
from colugo.distributor.bounded_queue import BoundedQueue

_LOGGER = logging.getLogger(__name__)
_A_TURN = 200
"""Messages that are distributed in one turn of the loop."""


class Feed:
    """A bounded queue: a source fills it from any thread, the loop empties it.

    When it is full, a source on another thread waits within its call; a source on the loop waits by awaiting
    what the call returns. A source on the loop that does not await loses what comes when the queue is twice
    as long; that is counted and logged.
    """

    def __init__(self, name: str, source: AbstractDistributionSource, limit: int) -> None:
        self.name = name
        self.source = source
        self.received = 0
        """Messages of the source so far."""
        self._closed = False
        self._most = 2 * limit
        self._queue: BoundedQueue[Any] = BoundedQueue(f"source {name}", limit, "wait")
        self._loop: asyncio.AbstractEventLoop | None = None
        self._loop_thread = 0
        self._arrived = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._queue.items)

    def put(self, message: Any) -> Awaitable[None]:
        """Take a message from the source, on any thread. On the loop, await the result: it waits for room."""
        if self._loop is None or threading.get_ident() == self._loop_thread:
            self._append(message)
            self._arrived.set()
            return self._queue.queued()
        while not self._closed:
            with self._lock:
                if not self._queue.is_full:
                    self._append(message)
                    if len(self) == 1:
                        self._loop.call_soon_threadsafe(self._arrived.set)
                    break
            asyncio.run_coroutine_threadsafe(self._queue.room(), self._loop).result()
        return QUEUED

    def _append(self, message: Any) -> None:
        if self._closed:
            return
        self.received += 1
        if len(self) < self._most:
            self._queue.add(message)
        else:
            self._queue.drop()

    async def run(
        self, distribute: Callable[[Any], Awaitable[None] | None], delay: Callable[[], float]
    ) -> None:
        """Distribute messages, with a pause of `delay()` seconds after each, until the task is cancelled."""
        self._note_loop()
        pending = self._queue.items
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
            self._queue.check()
            await asyncio.sleep(0)

    async def flush(self) -> None:
        """Wait until everything has been distributed."""
        if len(self):
            self._empty.clear()
        await self._empty.wait()

    def open(self) -> None:
        """Open the source; an error is logged."""
        with suppress(RuntimeError):  # no loop runs yet
            self._note_loop()
        try:
            self.source.open()
        except (Exception, SystemExit):
            _LOGGER.exception("source %s: open() raised", self.name)

    def close(self, reason: str) -> None:
        """Close the source, and take no further messages; an error is logged."""
        try:
            self.source.close(AbstractDistributionSource.DISCONNECT_SHUTDOWN, reason)
        except (Exception, SystemExit):
            _LOGGER.exception("source %s: close() raised", self.name)
        self._closed = True
        self._queue.close()

    def _note_loop(self) -> None:
        self._loop, self._loop_thread = asyncio.get_running_loop(), threading.get_ident()
