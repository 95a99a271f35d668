"""Those who wait until messages have been written."""

import asyncio
from bisect import bisect_right

from colugo.errors import ColugoError

_AT_ONCE = 200
"""How many who wait for messages are woken in a turn of the loop: between, consumers are heard and served."""

Waiting = list[asyncio.Future[None]]


class Waiters:
    """Who waits for which message, in the order of the numbers."""

    def __init__(self) -> None:
        self._futures: Waiting = []
        self._numbers: list[int] = []
        """Of the messages that these wait for."""
        self._told: Waiting = []
        """Who is about to be told that its message has been written."""
        self._loop: asyncio.AbstractEventLoop | None = None

    def add(self, seq: int, *, written: bool) -> asyncio.Future[None]:
        """One more waits.

        Args:
            seq: number of the message, the highest so far.
            written: whether it has been written already.
        """
        loop = self._loop
        if loop is None:  # kept: asking for it each time is a call of the system
            loop = self._loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        if written:
            future.set_result(None)
        else:
            self._futures.append(future)
            self._numbers.append(seq)
        return future

    def succeed(self, last: int) -> None:
        """All messages up to a number have been written: wake who waits, some in each turn of the loop."""
        busy = bool(self._told)
        self._told += self._take(last)[1]
        if not busy:
            self._tell_some()

    def fail(self, last: int, error: ColugoError) -> set[int]:
        """Messages up to a number could not be written.

        Returns:
            The numbers of those that somebody had waited for.
        """
        numbers, futures = self._take(last)
        tell(futures, error)
        return set(numbers)

    def close(self, error: ColugoError) -> None:
        """Nothing more is written."""
        tell(self._told)
        tell(self._futures, error)

    def _take(self, last: int) -> tuple[list[int], Waiting]:
        """Who waits for messages up to a number, and for which; they wait no more."""
        count = bisect_right(self._numbers, last)
        numbers, futures = self._numbers[:count], self._futures[:count]
        del self._numbers[:count], self._futures[:count]
        return numbers, futures

    def _tell_some(self) -> None:
        some, self._told = self._told[:_AT_ONCE], self._told[_AT_ONCE:]
        tell(some)
        if self._told:
            asyncio.get_running_loop().call_soon(self._tell_some)


def tell(waiting: Waiting, error: ColugoError | None = None) -> None:
    """Wake all who wait and have not gone; each gets an error of its own, for its traceback is its own."""
    for future in waiting:
        if future.done():
            continue
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(type(error)(str(error)))
    waiting.clear()
