"""Waiting until a count is reached: what `ready()` stands on."""

import asyncio

from colugo.errors import ClosedError


class Gate:
    """A number that goes up and down, and coroutines that wait for it.

    Args:
        label: what is counted, for the error of those who wait when it closes.
    """

    def __init__(self, label: str) -> None:
        self._label = label
        self._count = 0
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []
        self._closed = False

    @property
    def count(self) -> int:
        """The number now."""
        return self._count

    def set(self, count: int) -> None:
        """Change the number; those who waited for it go on."""
        self._count = count
        if self._waiting:
            for wanted, future in self._waiting:
                if wanted <= count and not future.done():
                    future.set_result(None)
            self._waiting = [entry for entry in self._waiting if not entry[1].done()]

    async def wait(self, count: int) -> None:
        """Return when the number is at least this.

        Raises:
            ClosedError: if it was closed meanwhile.
        """
        if self._closed:
            raise ClosedError(f"{self._label} is closed")
        if self._count < count:
            future = asyncio.get_running_loop().create_future()
            entry = (count, future)
            self._waiting.append(entry)
            try:
                await future
            finally:
                if entry in self._waiting:  # given up: nobody has reached it
                    self._waiting.remove(entry)

    def close(self) -> None:
        """Let all who wait fail."""
        self._closed = True
        waiting, self._waiting = self._waiting, []
        for _, future in waiting:
            if not future.done():
                future.set_exception(ClosedError(f"{self._label} is closed"))
