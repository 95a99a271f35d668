"""Coroutines that wait until something has been written to a store."""

import asyncio
from bisect import bisect_right

from colugo.errors import ColugoError

_BATCH = 200
"""The number of futures that are resolved in one turn of the loop; consumers are served in between."""

Waiting = list[asyncio.Future[None]]


class Waiters:
    """Futures that wait until messages have been written, in the order of the messages' numbers."""

    def __init__(self) -> None:
        self._futures: Waiting = []
        self._numbers: list[int] = []
        """The numbers of the messages that `_futures` wait for."""
        self._written: Waiting = []
        """Futures whose messages have been written, but that are still to be resolved."""
        self._loop: asyncio.AbstractEventLoop | None = None

    def add(self, seq: int, *, written: bool) -> asyncio.Future[None]:
        """Return a future that resolves when a message has been written, at once if it is `written`."""
        loop = self._loop
        if loop is None:  # kept, as each get_running_loop() is a system call
            loop = self._loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        if written:
            future.set_result(None)
        else:
            at = bisect_right(self._numbers, seq)
            self._futures.insert(at, future)
            self._numbers.insert(at, seq)
        return future

    def succeed(self, last: int) -> None:
        """Resolve the futures of all messages up to a number, in batches of one turn of the loop each."""
        busy = bool(self._written)
        self._written += self._pop(last)[1]
        if not busy:
            self._resolve_batch()

    def fail(self, last: int, error: ColugoError) -> set[int]:
        """Fail the futures of all messages up to a number; return the numbers of those that had one."""
        numbers, futures = self._pop(last)
        resolve(futures, error)
        return set(numbers)

    def close(self, error: ColugoError) -> None:
        """Fail the futures of messages that have not been written."""
        resolve(self._written)
        resolve(self._futures, error)

    def _pop(self, last: int) -> tuple[list[int], Waiting]:
        count = bisect_right(self._numbers, last)
        numbers, futures = self._numbers[:count], self._futures[:count]
        del self._numbers[:count], self._futures[:count]
        return numbers, futures

    def _resolve_batch(self) -> None:
        batch, self._written = self._written[:_BATCH], self._written[_BATCH:]
        resolve(batch)
        if self._written:
            asyncio.get_running_loop().call_soon(self._resolve_batch)


def resolve(waiting: Waiting, error: ColugoError | None = None) -> None:
    """Resolve all futures of a list, and empty it; with an error, each gets a copy of its own to raise."""
    for future in waiting:
        if future.done():
            continue
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(type(error)(str(error)))
    waiting.clear()


async def wait_in(waiting: Waiting) -> None:
    """Wait until the futures of a list are resolved, as one of them."""
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    waiting.append(future)
    try:
        await future
    finally:
        if future in waiting:  # cancelled; the list may not be resolved for long
            waiting.remove(future)
