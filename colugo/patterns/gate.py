"""A count that coroutines wait for, behind `ready()`."""

import asyncio

from colugo.errors import ClosedError


class Gate:
    """A count, and the coroutines that wait until it is reached; the label names its owner in errors."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._count = 0
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []
        self._closed = False

    @property
    def count(self) -> int:
        """The current count."""
        return self._count

    def set(self, count: int) -> None:
        """Change the count, and wake the coroutines that have waited for it."""
        self._count = count
        if self._waiting:
            for wanted, future in self._waiting:
                if wanted <= count and not future.done():
                    future.set_result(None)
            self._waiting = [entry for entry in self._waiting if not entry[1].done()]

    async def wait(self, count: int) -> None:
        """Return when the count is at least this; raise `ClosedError` if the gate is, or is then, closed."""
        if self._closed:
            raise ClosedError(f"{self._label} is closed")
        if self._count < count:
            future = asyncio.get_running_loop().create_future()
            entry = (count, future)
            self._waiting.append(entry)
            try:
                await future
            finally:
                if entry in self._waiting:  # cancelled before the count was reached
                    self._waiting.remove(entry)

    def close(self) -> None:
        """Make all waiting coroutines fail with `ClosedError`."""
        self._closed = True
        waiting, self._waiting = self._waiting, []
        for _, future in waiting:
            if not future.done():
                future.set_exception(ClosedError(f"{self._label} is closed"))
