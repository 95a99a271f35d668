"""Coroutines that wait until a queue has room, which is made on other threads."""

import asyncio
import threading
from collections.abc import Callable


class RoomWaiters:
    """The coroutines that wait for room in one queue."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = []

    def __bool__(self) -> bool:
        return bool(self._waiting)

    async def wait(self, has_room: Callable[[], bool]) -> None:
        """Wait until there is room. Call `release` each time when there may be.

        Args:
            has_room: returns True if there is room.
        """
        while not has_room():
            loop = asyncio.get_running_loop()
            future: asyncio.Future[None] = loop.create_future()
            with self._lock:
                self._waiting.append((loop, future))
            if has_room():  # made before the future could be seen
                self.release()
            await future

    def release(self) -> None:
        """Wake up all, from any thread."""
        with self._lock:
            waiting, self._waiting = self._waiting, []
        for loop, future in waiting:
            if not loop.is_closed():
                loop.call_soon_threadsafe(_finish, future)


def _finish(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)
