"""The way of messages to one target, which may be exchanged while they flow."""

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import msgspec

from colugo.distributor.base import QUEUED, AbstractDistributionSource, AbstractDistributionTarget
from colugo.distributor.coroutine_queue import CoroutineQueue
from colugo.distributor.drop_log import DropLog
from colugo.distributor.receipt import CURRENT_RECEIPT, Receipt
from colugo.distributor.target_options import TargetOptions, TargetStats
from colugo.distributor.threaded_target import ThreadedDistributionTarget, configure, pool_of
from colugo.protocol.throttle import Throttle

_LOGGER = logging.getLogger(__name__)
_GRACE_S = 0.3
"""The time for `close` and `on_cancel`, after the deadline for messages."""


class Lane:
    """One target of a distributor, with its queue.

    Args:
        name: of the target.
        target: the target, not opened yet.
        options: how it is treated.
    """

    def __init__(self, name: str, target: AbstractDistributionTarget, options: TargetOptions) -> None:
        self.name = name
        self.options = options
        self._held: deque[Any] | None = None
        self._held_drops = DropLog(f"target {name}", options.queue)
        self._throttle = Throttle()
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
        """What has become of the messages so far, also at targets that were exchanged."""
        held, dropped = len(self._held or ()), self._held_drops.dropped
        parts = [
            TargetStats(
                received=held + dropped + self._refused, queued=held, dropped=dropped, failed=self._refused
            ),
            self._past,
        ]
        if isinstance(self.target, ThreadedDistributionTarget):
            parts.append(pool_of(self.target).stats)
        if self._queue is not None:
            stats = self._queue.stats
            if isinstance(
                self.target, ThreadedDistributionTarget
            ):  # what it has completed is counted by the threads
                stats = TargetStats(
                    received=stats.queued
                    + stats.in_progress
                    + stats.dropped
                    + stats.failed
                    + stats.timed_out,
                    queued=stats.queued,
                    in_progress=stats.in_progress,
                    dropped=stats.dropped,
                    failed=stats.failed,
                    timed_out=stats.timed_out,
                    cancelled=stats.cancelled,
                )
            parts.append(stats)
        names = TargetStats.__struct_fields__
        return TargetStats(**{name: sum(getattr(part, name) for part in parts) for name in names})

    def deliver(self, message: Any, receipt: Receipt | None = None) -> Awaitable[Any] | None:
        """Hand a message to the target, on the loop; nothing is raised.

        Returns:
            Something to await before the next message; None if there is no need.
        """
        if self._held is not None:
            self._hold(message)
            return None
        if self._queue is not None:
            waits = self._queue.put(message, receipt)
            return None if waits is QUEUED else waits
        token = None if receipt is None else CURRENT_RECEIPT.set(receipt)
        try:
            waits = self.target.on_message(message)  # type: ignore[assignment]
        except Exception as error:  # noqa: BLE001 - counted and logged
            self._refused += 1
            if receipt is not None:
                receipt.settle(error)
            self._report("on_message", error)
            return None
        finally:
            if token is not None:
                CURRENT_RECEIPT.reset(token)
        return None if waits is QUEUED else waits

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
        """Open the target; an error is logged, and the target is used all the same."""
        await self._call("open", self.target.open)

    async def close(self, deadline: float) -> TargetStats:
        """Wait for what is queued until a deadline of `time.monotonic`, cancel the rest, close the target."""
        queue, target = self._queue, self.target
        if queue is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                    await queue.wait_until(empty=True)
            queue.cancel()
        if isinstance(target, ThreadedDistributionTarget):
            left = max(0.0, deadline - time.monotonic())
            await self._call("close", pool_of(target).close, left, deadline=deadline + _GRACE_S)
        stats = self.stats
        code, reason = AbstractDistributionSource.DISCONNECT_SHUTDOWN, "the distributor closes the target"
        await self._call("close", target.close, code, reason, deadline=deadline + _GRACE_S)
        return stats

    async def exchange(self, target: AbstractDistributionTarget, drain_s: float) -> None:
        """Close the target, and open another one in its place, which gets what waits.

        Args:
            target: the new one. It is opened after the old one is closed, so that it may bind the same port.
            drain_s: seconds that the old one has for the messages that it is sending.
        """
        self._held = deque()
        queued = self._queue.take_pending() if self._queue is not None else []
        items = (
            pool_of(self.target).take_pending() if isinstance(self.target, ThreadedDistributionTarget) else []
        )
        try:
            past = await self.close(time.monotonic() + drain_s)
            held_now = len(self._held)
            self._past = msgspec.structs.replace(
                past,
                received=past.received - held_now - self._held_drops.dropped - self._refused,
                dropped=past.dropped - self._held_drops.dropped,
                failed=past.failed - self._refused,
                queued=0,
                in_progress=0,
            )
            self._set(target)
            await self.open()
        finally:
            held, self._held = self._held, None
            self._held_drops.end()
            for message, receipt in items:
                if isinstance(target, ThreadedDistributionTarget):
                    pool_of(target).submit(message, receipt)  # formatted already
                else:
                    self.deliver(message, receipt)
            for message, receipt in queued:
                self.deliver(message, receipt)
            for message in held:
                self.deliver(message)

    def _hold(self, message: Any) -> None:
        held = self._held
        if held is None:
            return
        if len(held) >= self.options.queue:
            self._held_drops.drop()
            if self.options.full == "drop-newest":
                return
            held.popleft()
        held.append(message)

    async def _call(
        self, what: str, function: Callable[..., object], *args: Any, deadline: float | None = None
    ) -> None:
        """Open or close the target: on a thread if it is a threaded one, which may block."""
        try:
            if isinstance(self.target, ThreadedDistributionTarget):
                left = None if deadline is None else max(0.1, deadline - time.monotonic())
                async with asyncio.timeout(left):
                    await on_thread(f"target {self.name} {what}", function, *args)
            else:
                function(*args)
        except TimeoutError:
            _LOGGER.warning("target %s: %s() takes too long and is left behind", self.name, what)
        except Exception:
            _LOGGER.exception("target %s: %s() raised", self.name, what)

    def _report(self, what: str, error: Exception) -> None:
        note = self._throttle.note((what, type(error)), time.monotonic())
        if note is not None:
            _LOGGER.warning(
                "target %s: %s raised %s: %s%s", self.name, what, type(error).__name__, error, note
            )


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
