"""An asyncio loop on a thread of its own, for libraries that live on one."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class LoopThread:
    """Runs from the making on, until it is closed."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="loop", daemon=True)
        self._thread.start()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine there, and return its result here."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result()

    def do(self, action: Callable[[], T]) -> T:
        """Call a function there, and return its result here."""

        async def call() -> T:
            return action()

        return self.run(call())

    def close(self) -> None:
        """Stop the loop."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()
