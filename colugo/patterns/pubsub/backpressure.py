"""Waiting for readers: what `flow="wait"` stands on."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Generic, Protocol, TypeVar


class SlowReader(Protocol):
    """Somebody for whom all wait.

    Attributes:
        progress: when it last got on, seconds of `time.monotonic`.
    """

    progress: float


W = TypeVar("W", bound=SlowReader)


class Backpressure(Generic[W]):
    """Those who wait until all readers can take more, and the patience they have.

    Args:
        lacking: gives those who cannot take what is to be sent.
        cut_off: gives up one of them.
        stall_ms: patience with one that does not get on.
    """

    def __init__(
        self, lacking: Callable[[], Iterable[W]], cut_off: Callable[[W], None], stall_ms: int
    ) -> None:
        self._lacking = lacking
        self._cut_off = cut_off
        self._stall_s = stall_ms / 1000
        self._since = 0.0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self.shut = False
        """Whether nothing can be sent now."""
        self.turn = asyncio.Lock()
        """Held by the first of those who wait, so that no task leaves the others waiting for ever."""

    def shut_off(self) -> None:
        """Nothing can be sent now: whoever wants to has to wait."""
        self.shut = True

    def look(self) -> None:
        """Go on if all can take more."""
        if self.shut and not self._lacking():
            self._go_on()

    async def opened(self) -> None:
        """Wait until it has gone on, in the order of the calls."""
        if not self.shut:
            await asyncio.sleep(0)
            return
        if self._timer is None:  # patience begins with the first who waits
            self._since = time.monotonic()
            self._look_later(self._stall_s)
        future = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        await future

    def close(self) -> None:
        """Let all go on, and find it closed."""
        self._go_on()

    def _go_on(self) -> None:
        self.shut = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_result(None)

    def _look_later(self, seconds: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, self._stalled)

    def _stalled(self) -> None:
        """Give up those that have not got on for so long, while all were waiting."""
        self._timer = None
        now = time.monotonic() + 0.001  # a timer may fire one clock tick early
        waits = []
        for reader in self._lacking():
            since = max(reader.progress, self._since)
            if now - since >= self._stall_s:
                self._cut_off(reader)
            else:
                waits.append(since + self._stall_s - now)
        if waits:
            self._look_later(min(waits))
        else:
            self._go_on()
