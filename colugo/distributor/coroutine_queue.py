"""The queue of a target whose `on_message` may have to be awaited."""

import asyncio
import inspect
from collections.abc import Awaitable
from concurrent.futures import CancelledError
from typing import Any

from colugo.distributor.base import AbstractDistributionTarget
from colugo.distributor.bounded_queue import BoundedQueue
from colugo.distributor.endpoint_log import EndpointLog
from colugo.distributor.receipt import CURRENT_RECEIPT, Item, Receipt, settle
from colugo.distributor.sender import WorkerState
from colugo.distributor.target_options import TargetOptions, TargetStats
from colugo.distributor.threaded_target import ThreadedDistributionTarget, pool_of

_A_TURN = 200
"""Messages that are handled in one turn of the loop, if none of them waits."""


class CoroutineQueue:
    """A bounded queue, and a task that awaits `on_message` for one message after another.

    The targets of the original are like that. A slow coroutine holds up its own target only. The options
    `workers` and `retries` do not apply.
    """

    def __init__(self, target: AbstractDistributionTarget, name: str, options: TargetOptions) -> None:
        self._target = target
        self._name = name
        self._queue: BoundedQueue[Item] = BoundedQueue(f"target {name}", options.queue, options.full)
        self._received = 0
        self._ended = WorkerState()
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._log = EndpointLog(f"target {name}")
        self._timeout_s = None if options.timeout_ms is None else options.timeout_ms / 1000

    @property
    def stats(self) -> TargetStats:
        """The counters so far."""
        return TargetStats(
            received=self._received,
            completed=self._ended.completed,
            queued=len(self._queue.items),
            in_progress=int(self._ended.busy),
            dropped=self._queue.dropped,
            failed=self._ended.failed,
            timed_out=self._ended.timed_out,
            cancelled=self._ended.cancelled,
        )

    def put(self, message: Any, receipt: Receipt | None = None) -> Awaitable[None]:
        """Queue a message, on the loop, and return something to await, as `BoundedQueue.queued`."""
        if self._task is None:
            name = f"target {self._name}"
            self._task = asyncio.get_running_loop().create_task(self._run(), name=name)
        self._received += 1
        if (dropped := self._queue.add((message, receipt))) is not None:
            settle(dropped[1], CancelledError())
        self._changed.set()
        return self._queue.queued()

    async def empty(self) -> None:
        """Wait until nothing is queued or being handled."""
        while self._queue.items or self._ended.busy:
            self._changed.clear()
            await self._changed.wait()

    def take_pending(self) -> list[Item]:
        """Remove and return what waits."""
        taken = self._queue.take_all()
        self._received -= len(taken)
        self._changed.set()
        return taken

    def cancel(self) -> None:
        """Cancel what waits and what is being handled."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
        for _, receipt in self._queue.take_all():
            self._ended.cancelled += 1
            settle(receipt, CancelledError())
        self._queue.close()
        self._changed.set()

    async def _run(self) -> None:
        turn = 0
        while True:
            while not self._queue.items:
                self._changed.clear()
                await self._changed.wait()
            message, receipt = self._queue.items.popleft()
            self._queue.check()
            self._ended.busy = True
            try:
                await self._handle(message, receipt)
            finally:
                self._ended.busy = False
                self._changed.set()
            if isinstance(self._target, ThreadedDistributionTarget):
                await pool_of(self._target).queue.queued()  # `super().on_message()` may not have been awaited
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
        except (Exception, SystemExit, asyncio.CancelledError) as error:
            self._end(error, receipt)
            if (task := asyncio.current_task()) is not None and task.cancelling():
                raise
        else:
            self._ended.completed += 1
            if receipt is not None and not receipt.taken:
                receipt.settle(None)

    def _end(self, error: BaseException, receipt: Receipt | None) -> None:
        """Count and log a message that ended with an error."""
        self._ended.count(error)
        if not isinstance(error, asyncio.CancelledError):
            name = type(error).__name__
            self._log.warn(name, "on_message raised %s: %s", name, error)
        if receipt is not None and not receipt.taken:
            receipt.settle(error)
