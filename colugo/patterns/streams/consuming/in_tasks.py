"""Calls of a coroutine function in tasks, or of a plain function on threads."""

import asyncio
from collections import deque
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import Any

from colugo.patterns.callbacks import CALLBACK_ERRORS, is_awaitable, reraise_if_cancelled
from colugo.patterns.streams.consuming.delivery import Delivery, DeliverySource, ReceivedMessage
from colugo.patterns.streams.consuming.handling import CallbackRunner, Handling, take_out
from colugo.protocol.streams.settlements import Failure


class InTasks(Handling):
    """Calls a coroutine function, or a plain one on threads, for several messages at a time.

    Messages of one key are handled one after another, unless the stream has no order. A coroutine that
    exceeds its stream's `ack_timeout_ms` without `delivery.working()` is cancelled, and its message
    redelivered.
    """

    def __init__(self, runner: CallbackRunner, *, concurrency: int, executor: bool) -> None:
        super().__init__(runner)
        self._concurrency = concurrency
        label = f"colugo {runner.runtime.name} {runner.handler.label}"
        self._threads = ThreadPoolExecutor(concurrency, label) if executor else None
        self._idle: deque[asyncio.Future[None]] = deque()
        self._parked: dict[str, deque[ReceivedMessage]] = {}
        """For each key with a message in progress, the messages that wait for it."""
        self._deadlines: dict[int, float] = {}
        self._newly_started: dict[int, ReceivedMessage] = {}
        """The messages started since the last call of `newly_started`, by worker."""
        self._tasks: list[asyncio.Task[Any]] = []
        self._all_idle = asyncio.Event()

    def open(self) -> None:
        """Start the workers."""
        self._all_idle.set()
        for number in range(self._concurrency):
            self._tasks.append(self._runner.runtime.spawn(self._work(number), self._runner.handler.label))

    def put(self, items: Iterable[ReceivedMessage]) -> None:
        """Queue messages, in their order."""
        before = len(self._waiting)
        self._waiting.extend(items)
        self._wake(len(self._waiting) - before)

    def unstarted(self) -> list[ReceivedMessage]:
        """Return the messages that wait for the callback."""
        return [*chain.from_iterable(self._parked.values()), *self._waiting]

    def newly_started(self) -> list[ReceivedMessage]:
        """Return the messages in progress that have been started since the last call of this."""
        started, self._newly_started = self._newly_started, {}
        return list(started.values())

    def withdraw(self, source: DeliverySource | None = None) -> list[ReceivedMessage]:
        """Remove unstarted messages, and return them in their order."""
        taken = [take_out(items, source) for items in (*self._parked.values(), self._waiting)]
        return list(chain.from_iterable(taken))

    def stuck(self, now: float) -> bool:
        """Return True if each thread has exceeded its message's `ack_timeout_ms`."""
        return (
            self._threads is not None
            and len(self._deadlines) == self._concurrency
            and all(deadline < now for deadline in self._deadlines.values())
        )

    async def finish(self) -> None:
        """Return when no message is in progress."""
        await self._all_idle.wait()

    def close(self) -> None:
        """Cancel tasks in progress; threads finish their calls."""
        for task in self._tasks:
            task.cancel()
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)

    def _wake(self, count: int) -> None:
        while count > 0 and self._idle:
            future = self._idle.popleft()
            if not future.done():
                future.set_result(None)
                count -= 1

    async def _work(self, number: int) -> None:
        item: ReceivedMessage | None = None
        key = ""
        while True:
            if item is None:
                item, key = await self._next()
            self._all_idle.clear()
            self._deadlines[number] = asyncio.get_running_loop().time() + item.source.ack_timeout_s
            self._newly_started[number] = item
            try:
                await self._handle(item, number)
            finally:
                del self._deadlines[number]
                self._newly_started.pop(number, None)
                if not self._deadlines:
                    self._all_idle.set()
                item = self._following(key)

    async def _next(self) -> tuple[ReceivedMessage, str]:
        """Wait for the next message without another of its key in progress.

        Returns:
            The message, and the key whose other messages wait for it; "" if none do.
        """
        while True:
            while self._waiting:
                item = self._waiting.popleft()
                if not item.key or self._concurrency == 1 or not item.source.ordered:
                    return item, ""
                if item.key not in self._parked:
                    self._parked[item.key] = deque()
                    return item, item.key
                self._parked[item.key].append(item)
            future = asyncio.get_running_loop().create_future()
            self._idle.append(future)
            await future

    def _following(self, key: str) -> ReceivedMessage | None:
        """Return the next message that waits for one of its key, once that is handled."""
        if not key:
            return None
        parked = self._parked[key]
        if parked:
            return parked.popleft()
        del self._parked[key]
        return None

    async def _handle(self, item: ReceivedMessage, number: int) -> None:
        runner = self._runner
        loop = asyncio.get_running_loop()
        limit_s = item.source.ack_timeout_s
        scope = asyncio.timeout(None if self._threads is not None else limit_s)
        in_progress = True

        def extend() -> None:
            if in_progress:
                self._deadlines[number] = loop.time() + limit_s
                if self._threads is None:
                    scope.reschedule(loop.time() + limit_s)

        prepared = runner.prepare(item, extend)
        if prepared is None:
            return
        message, delivery = prepared
        try:
            async with scope:
                if self._threads is not None:
                    result = await loop.run_in_executor(self._threads, runner.handler, message, delivery)
                else:
                    result = runner.handler(message, delivery)
                if is_awaitable(result):
                    await result
        except CALLBACK_ERRORS as error:
            reraise_if_cancelled(error)
            if isinstance(error, TimeoutError) and scope.expired():
                self._on_timeout(delivery, limit_s)
            else:
                runner.raised(delivery, error)
        else:
            runner.succeeded(delivery)
        finally:
            in_progress = False

    def _on_timeout(self, delivery: Delivery, limit_s: float) -> None:
        reason = f"{self._runner.handler.label} exceeded ack_timeout_ms, {limit_s * 1000:g}"
        self._runner.runtime.logger.error("%s, and was cancelled", reason)
        if not delivery.settled:
            delivery.fail(Failure(reason), 0)
