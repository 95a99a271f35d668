"""Waiting for slow subscribers, for publishers with `flow="wait"`."""

import asyncio
import time
from collections import deque
from collections.abc import Collection
from typing import Generic, Protocol, TypeVar


class SlowSubscriber(Protocol):
    """A subscriber for which the publisher waits.

    Attributes:
        progress: the time of its last progress, seconds of `time.monotonic`.
    """

    progress: float


S = TypeVar("S", bound=SlowSubscriber)


class BackpressureListener(Protocol[S]):
    """The writer that waits for its subscribers."""

    def blocking(self) -> Collection[S]:
        """Return the subscribers without credit for the next batch."""

    def cut_off(self, subscriber: S) -> None:
        """Leave a stalled subscriber behind."""


class Backpressure(Generic[S]):
    """A queue of senders that wait until all subscribers have credit, and the patience with a stalled one.

    Args:
        listener: the writer.
        stall_ms: milliseconds without progress after which a subscriber is cut off.
    """

    def __init__(self, listener: BackpressureListener[S], stall_ms: int) -> None:
        self._listener = listener
        self._stall_s = stall_ms / 1000
        self._since = 0.0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self.shut = False
        """True while nothing can be sent."""
        self.turn = asyncio.Lock()
        """A lock for the first sender in the queue, so that no task starves the others."""

    def shut_off(self) -> None:
        """Make senders wait from now on."""
        self.shut = True

    def update(self) -> None:
        """Release the senders if all subscribers have credit again."""
        if self.shut and not self._listener.blocking():
            self._release()

    async def opened(self) -> None:
        """Wait until senders are released, in the order of the calls."""
        if not self.shut:
            await asyncio.sleep(0)
            return
        if self._timer is None:  # patience begins with the first sender that waits
            self._since = time.monotonic()
            self._check_later(self._stall_s)
        future = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        await future

    def close(self) -> None:
        """Release the senders, which then find the publisher closed."""
        self._release()

    def _release(self) -> None:
        self.shut = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_result(None)

    def _check_later(self, seconds: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, self._cut_off_stalled)

    def _cut_off_stalled(self) -> None:
        self._timer = None
        now = time.monotonic() + 0.001  # a timer may fire one clock tick early
        waits = []
        for subscriber in self._listener.blocking():
            since = max(subscriber.progress, self._since)
            if now - since >= self._stall_s:
                self._listener.cut_off(subscriber)
            else:
                waits.append(since + self._stall_s - now)
        if waits:
            self._check_later(min(waits))
        else:
            self._release()
