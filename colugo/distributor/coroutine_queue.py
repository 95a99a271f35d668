"""The queue of a target whose `on_message` may have to be awaited."""

import asyncio
import inspect
import logging
import time
from collections import deque
from collections.abc import Awaitable
from concurrent.futures import CancelledError
from functools import partial
from typing import Any

from colugo.distributor.base import QUEUED, AbstractDistributionTarget, Room
from colugo.distributor.drop_log import DropLog
from colugo.distributor.receipt import CURRENT_RECEIPT, Receipt
from colugo.distributor.target_options import TargetOptions, TargetStats
from colugo.distributor.threaded_target import ThreadedDistributionTarget, pool_of
from colugo.protocol.throttle import Throttle

_LOGGER = logging.getLogger(__name__)
_A_TURN = 200
"""Messages that are handled in one turn of the loop, if none of them waits."""


class CoroutineQueue:
    """A bounded queue, and a task that awaits `on_message` for one message after another.

    The targets of the original are like that. A slow coroutine holds up its own target only.

    Args:
        target: the target.
        name: of the target, for logs.
        options: `workers` and `retries` do not apply.
    """

    def __init__(self, target: AbstractDistributionTarget, name: str, options: TargetOptions) -> None:
        self._target = target
        self._name = name
        self._options = options
        self._pending: deque[tuple[Any, Receipt | None]] = deque()
        self._drops = DropLog(f"target {name}", options.queue)
        self._received = self._completed = self._failed = self._timed_out = self._cancelled = 0
        self._busy = False
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._throttle = Throttle()
        self._timeout_s = None if options.timeout_ms is None else options.timeout_ms / 1000
        self._waits_for_pool = options.full == "wait"

    @property
    def full(self) -> bool:
        """True if as many messages wait as may."""
        return len(self._pending) >= self._options.queue

    @property
    def stats(self) -> TargetStats:
        """The counters so far."""
        return TargetStats(
            received=self._received,
            completed=self._completed,
            queued=len(self._pending),
            in_progress=int(self._busy),
            dropped=self._drops.dropped,
            failed=self._failed,
            timed_out=self._timed_out,
            cancelled=self._cancelled,
        )

    def put(self, message: Any, receipt: Receipt | None = None) -> Awaitable[None]:
        """Queue a message, on the loop.

        Returns:
            Something to await: with `full="wait"` and a full queue, until there is room.
        """
        if self._task is None:
            name = f"target {self._name}"
            self._task = asyncio.get_running_loop().create_task(self._run(), name=name)
        self._received += 1
        if self.full and self._options.full != "wait":
            self._drops.drop()
            dropped = receipt
            if self._options.full == "drop-oldest":
                _, dropped = self._pending.popleft()
            if dropped is not None:
                dropped.settle(CancelledError())
            if self._options.full == "drop-newest":
                return QUEUED
        self._pending.append((message, receipt))
        self._changed.set()
        if self._options.full == "wait" and self.full:
            return Room(partial(self.wait_until, empty=False))
        return QUEUED

    async def wait_until(self, *, empty: bool) -> None:
        """Wait until nothing is queued or being handled, or until there is room."""
        while (self._pending or self._busy) if empty else self.full:
            self._changed.clear()
            await self._changed.wait()

    def take_pending(self) -> list[tuple[Any, Receipt | None]]:
        """Remove and return what waits."""
        taken = list(self._pending)
        self._pending.clear()
        self._received -= len(taken)
        self._changed.set()
        return taken

    def cancel(self) -> None:
        """Cancel what waits and what is being handled."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
        self._drops.end()
        self._cancelled += len(self._pending)
        for _, receipt in self._pending:
            if receipt is not None:
                receipt.settle(CancelledError())
        self._pending.clear()
        self._changed.set()

    async def _run(self) -> None:
        turn = 0
        while True:
            while not self._pending:
                self._changed.clear()
                await self._changed.wait()
            message, receipt = self._pending.popleft()
            self._drops.check(len(self._pending))
            self._busy = True
            try:
                await self._handle(message, receipt)
            finally:
                self._busy = False
                self._changed.set()
            if self._waits_for_pool and isinstance(self._target, ThreadedDistributionTarget):
                await pool_of(self._target).room()  # `super().on_message()` may not have been awaited
            turn += 1
            if turn % _A_TURN == 0:
                await asyncio.sleep(0)

    async def _handle(self, message: Any, receipt: Receipt | None) -> None:
        """Call `on_message`, and settle the receipt unless a pool will."""
        CURRENT_RECEIPT.set(receipt)
        try:
            waits = self._target.on_message(message)
            if inspect.isawaitable(waits):
                async with asyncio.timeout(self._timeout_s):
                    await waits
        except asyncio.CancelledError as error:
            self._end(error, receipt)
            if (task := asyncio.current_task()) is not None and task.cancelling():
                raise
        except Exception as error:  # noqa: BLE001 - counted and logged
            self._end(error, receipt)
        else:
            self._completed += 1
            if receipt is not None and not receipt.taken:
                receipt.settle(None)

    def _end(self, error: BaseException, receipt: Receipt | None) -> None:
        """Count and log a message that ended with an error."""
        cancelled = isinstance(error, asyncio.CancelledError)
        if isinstance(error, TimeoutError):
            self._timed_out += 1
        elif cancelled:
            self._cancelled += 1
        else:
            self._failed += 1
        name = type(error).__name__
        if not cancelled and (note := self._throttle.note(name, time.monotonic())) is not None:
            _LOGGER.warning("target %s: on_message raised %s: %s%s", self._name, name, error, note)
        if receipt is not None and not receipt.taken:
            receipt.settle(error)
