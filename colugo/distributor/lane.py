"""The way of messages to one target, which may be exchanged while they flow."""

import asyncio
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import CancelledError
from contextlib import suppress
from functools import partial
from typing import Any

import msgspec

from colugo.distributor.base import QUEUED, AbstractDistributionSource, AbstractDistributionTarget
from colugo.distributor.bounded_queue import BoundedQueue
from colugo.distributor.coroutine_queue import CoroutineQueue
from colugo.distributor.endpoint_log import EndpointLog
from colugo.distributor.receipt import CURRENT_RECEIPT, Item, Receipt, settle
from colugo.distributor.target_options import TargetOptions, TargetStats
from colugo.distributor.threaded_target import ThreadedDistributionTarget, configure, pool_of
from colugo.errors import ClosedError

_LOGGER = logging.getLogger(__name__)
_GRACE_S = 0.3
"""The time for `close` and `on_cancel`, after the deadline for messages."""
_OPEN_S = 10.0
"""The time for `open`, after which the target is used all the same: it must not hold up the others."""


class Lane:
    """One target of a distributor, with its queue."""

    def __init__(self, name: str, target: AbstractDistributionTarget, options: TargetOptions) -> None:
        self.name = name
        self.options = options
        self._held: BoundedQueue[Item] | None = None
        """The messages that come while the target is opened or exchanged."""
        self._carried = 0
        self._log = EndpointLog(f"target {name}")
        self._changing = asyncio.Lock()
        self._exchange: asyncio.Task[None] | None = None
        self._closed = False
        self._past = TargetStats()
        self._refused = 0
        self._set(target)

    def _set(self, target: AbstractDistributionTarget) -> None:
        self.target = target
        threaded = isinstance(target, ThreadedDistributionTarget)
        if isinstance(target, ThreadedDistributionTarget):
            configure(target, self.name, self.options)
        # An overridden on_message may be a coroutine function, which has to be awaited.
        plain = threaded and type(target).on_message is ThreadedDistributionTarget.on_message
        self._queue = None if plain else CoroutineQueue(target, self.name, self.options)

    @property
    def stats(self) -> TargetStats:
        """The counters so far, also those of targets that were exchanged."""
        held, dropped, refused = self._carried, 0, self._refused
        if self._held is not None:
            held, dropped = held + len(self._held.items), self._held.dropped
        own = TargetStats(received=held + dropped + refused, queued=held, dropped=dropped, failed=refused)
        return _sum(own, self._past, self._stats_of_target())

    def _stats_of_target(self) -> TargetStats:
        queue = TargetStats() if self._queue is None else self._queue.stats
        if not isinstance(self.target, ThreadedDistributionTarget):
            return queue
        # Messages that the queue has completed went to the pool, which counts them.
        queue = msgspec.structs.replace(queue, received=queue.received - queue.completed, completed=0)
        return _sum(queue, pool_of(self.target).stats)

    def deliver(self, message: Any, receipt: Receipt | None = None) -> Awaitable[Any] | None:
        """Hand a message to the target, on the loop; nothing is raised.

        Returns:
            Something to await before the next message; None if there is no need.
        """
        if self._held is not None:
            if (dropped := self._held.add((message, receipt))) is not None:
                settle(dropped[1], CancelledError())
            return _unless_queued(self._held.queued())
        if self._queue is not None:
            return _unless_queued(self._queue.put(message, receipt))
        token = None if receipt is None else CURRENT_RECEIPT.set(receipt)
        try:
            return _unless_queued(self.target.on_message(message))
        except Exception as error:  # noqa: BLE001 - counted and logged
            self._refuse(error, receipt)
            return None
        finally:
            if token is not None:
                CURRENT_RECEIPT.reset(token)

    async def deliver_and_wait(self, message: Any) -> None:
        """Hand a message to the target, and wait until it is done with it.

        Raises:
            Exception: if it was not sent; see `Receipt.outcome`.
        """
        receipt = Receipt()
        waits = self.deliver(message, receipt)
        if waits is not None:
            await waits
        await receipt.outcome()

    async def open(self) -> None:
        """Open the target; messages that come meanwhile wait.

        An error is logged, and the target is used all the same.
        """
        async with self._changing:
            held = self._hold()
            try:
                await self._open()
            finally:
                self._release(held)

    async def close(self, deadline: float) -> TargetStats:
        """Wait for what is queued until a deadline of `time.monotonic`, cancel the rest, close the target."""
        if self._closed:
            return self.stats
        self._closed = True
        if self._exchange is not None:
            await asyncio.wait([self._exchange], timeout=max(0.0, deadline - time.monotonic()))
        unsent = await self._close_queue(deadline)
        if isinstance(self.target, ThreadedDistributionTarget):
            close = partial(pool_of(self.target).close, also=unsent)
            await self._call(
                "close", close, max(0.0, deadline - time.monotonic()), deadline=deadline + _GRACE_S
            )
        stats = self.stats
        await self._close_target(deadline)
        return stats

    async def exchange(self, target: AbstractDistributionTarget, drain_s: float) -> None:
        """Close the target, and open another one in its place, which gets what waits.

        The old one is closed first, so that the new one may bind the same port; it has `drain_s` seconds for
        what it is sending. One exchange follows another, and each is finished even if it is cancelled: else
        messages that are between two targets would be lost.
        """
        exchange = self._exchange_in_turn(target, drain_s)
        self._exchange = asyncio.create_task(exchange, name=f"target {self.name} exchange")
        await asyncio.shield(self._exchange)

    async def _exchange_in_turn(self, target: AbstractDistributionTarget, drain_s: float) -> None:
        async with self._changing:
            await self._exchange_now(target, drain_s)

    async def _exchange_now(self, target: AbstractDistributionTarget, drain_s: float) -> None:
        held = self._hold()
        formatted: list[Item] = []
        unformatted: list[Item] = [] if self._queue is None else self._queue.take_pending()
        self._carried = len(unformatted)
        try:
            deadline = time.monotonic() + drain_s
            await self._close_queue(deadline)
            if isinstance(self.target, ThreadedDistributionTarget):
                left = max(0.0, deadline - time.monotonic())
                hand_over = pool_of(self.target).hand_over
                formatted = await on_thread(f"target {self.name} close", hand_over, left)
                self._carried += len(formatted)
            await self._close_target(deadline)
            past = self._stats_of_target()
            left_behind = past.timed_out + past.in_progress
            past = msgspec.structs.replace(past, timed_out=left_behind, in_progress=0)
            self._past = _sum(self._past, past)
            self._set(target)
            await self._open()
        finally:
            self._release(held, unformatted, formatted)

    def _hold(self) -> BoundedQueue[Item]:
        """Keep the messages that come from now on."""
        held = self._held = BoundedQueue(f"target {self.name}", self.options.queue, self.options.full)
        return held

    def _release(
        self, held: BoundedQueue[Item], unformatted: Iterable[Item] = (), formatted: Iterable[Item] = ()
    ) -> None:
        """Hand over what waited, after what the target before this one had not sent."""
        self._held, self._carried = None, 0
        self._past = _sum(self._past, TargetStats(received=held.dropped, dropped=held.dropped))
        for message, receipt in formatted:
            self._deliver_formatted(message, receipt)
        for message, receipt in (*unformatted, *held.items):
            self.deliver(message, receipt)
        held.close()

    async def _open(self) -> None:
        await self._call("open", self.target.open, deadline=time.monotonic() + _OPEN_S)

    def _deliver_formatted(self, message: Any, receipt: Receipt | None) -> None:
        """Hand over a message that the target before this one had formatted."""
        if not isinstance(self.target, ThreadedDistributionTarget):
            self.deliver(message, receipt)
            return
        try:
            pool_of(self.target).submit(message, receipt)
        except ClosedError as error:  # the exchange was cancelled
            self._refuse(error, receipt)

    async def _close_queue(self, deadline: float) -> list[Item]:
        """Close the queue of coroutines; return messages that a pool has to cancel."""
        if self._queue is None:
            return []
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                await self._queue.empty()
        threaded = isinstance(self.target, ThreadedDistributionTarget)
        unsent = self._queue.take_pending() if threaded else []
        self._queue.cancel()
        return unsent

    async def _close_target(self, deadline: float) -> None:
        code, reason = AbstractDistributionSource.DISCONNECT_SHUTDOWN, "the distributor closes the target"
        await self._call("close", self.target.close, code, reason, deadline=deadline + _GRACE_S)

    async def _call(self, what: str, function: Callable[..., object], *args: Any, deadline: float) -> None:
        """Open or close the target: on a thread if it is a threaded one, which may block."""
        limit = asyncio.timeout(max(0.1, deadline - time.monotonic()))
        try:
            if isinstance(self.target, ThreadedDistributionTarget):
                async with limit:
                    await on_thread(f"target {self.name} {what}", function, *args)
            else:
                function(*args)
        except (Exception, SystemExit):
            if limit.expired():
                _LOGGER.warning("target %s: %s() takes too long and is left behind", self.name, what)
            else:
                _LOGGER.exception("target %s: %s() raised", self.name, what)

    def _refuse(self, error: Exception, receipt: Receipt | None) -> None:
        """Count and log a message that the target did not take."""
        self._refused += 1
        settle(receipt, error)
        name = type(error).__name__
        self._log.warn(name, "on_message raised %s: %s", name, error)


def _unless_queued(waits: Awaitable[Any] | None) -> Awaitable[Any] | None:
    return None if waits is QUEUED else waits


def _sum(*parts: TargetStats) -> TargetStats:
    names = TargetStats.__struct_fields__
    return TargetStats(**{name: sum(getattr(part, name) for part in parts) for name in names})


async def on_thread(name: str, function: Callable[..., Any], *args: Any) -> Any:
    """Call a function on a daemon thread of its own, which may hang, and return its result."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Any] = loop.create_future()

    def finish(error: BaseException | None, result: Any) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)

    def run() -> None:
        error: BaseException | None = None
        result: Any = None
        try:
            result = function(*args)
        except Exception as raised:  # noqa: BLE001 - raised where it is awaited
            error = raised
        except BaseException as raised:  # noqa: BLE001 - as SystemExit; the loop must not get it
            error = RuntimeError(f"{type(raised).__name__}: {raised}")
        if isinstance(error, StopIteration):  # a future does not take it
            error = RuntimeError(f"StopIteration: {error}")
        with suppress(RuntimeError):  # the loop has been closed
            loop.call_soon_threadsafe(finish, error, result)

    threading.Thread(target=run, name=name, daemon=True).start()
    return await future
