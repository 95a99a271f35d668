"""Running a coroutine function, or threads, for some messages of streams at a time."""

import asyncio
from collections import deque
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import Any

from colugo.patterns.callbacks import CALLBACK_ERRORS, is_awaitable, reraise_if_cancelled
from colugo.patterns.streams.consuming.delivery import DeliverySource, ReceivedMessage
from colugo.patterns.streams.consuming.handling import CallbackRunner, take_out
from colugo.protocol.streams.settlements import Failure


class InTasks:
    """Runs a coroutine function, or a plain one on threads, for some messages at a time.

    Messages of one key are handled one after another. A coroutine that takes longer than its stream's
    `ack_timeout_ms` without `delivery.working()` is cancelled: the message is redelivered.

    Args:
        calls: what a call is made of.
        concurrency: how many at a time.
        executor: whether on threads.
    """

    def __init__(self, calls: CallbackRunner, *, concurrency: int, executor: bool) -> None:
        self._waiting: deque[ReceivedMessage] = deque()
        self._calls = calls
        self._concurrency = concurrency
        label = f"colugo {calls.runtime.name} {calls.handler.label}"
        self._threads = ThreadPoolExecutor(concurrency, label) if executor else None
        self._idle: deque[asyncio.Future[None]] = deque()
        self._parked: dict[str, deque[ReceivedMessage]] = {}
        """What waits for another message of its key, by that; of each key of which one is being handled."""
        self._began: dict[int, float] = {}
        self._fresh: dict[int, ReceivedMessage] = {}
        """What has been begun since `begun` was asked the last time."""
        self._tasks: list[asyncio.Task[Any]] = []
        self._resting = asyncio.Event()

    def open(self) -> None:
        """Begin."""
        self._resting.set()
        for number in range(self._concurrency):
            self._tasks.append(self._calls.runtime.spawn(self._work(number), self._calls.handler.label))

    def put(self, items: Iterable[ReceivedMessage]) -> None:
        """Hand over messages."""
        before = len(self._waiting)
        self._waiting.extend(items)
        self._wake(len(self._waiting) - before)

    def waiting(self) -> list[ReceivedMessage]:
        """Messages with which nobody has begun."""
        return [*chain.from_iterable(self._parked.values()), *self._waiting]

    def begun(self) -> list[ReceivedMessage]:
        """Messages that are being handled, and were not when this was asked the last time."""
        fresh, self._fresh = self._fresh, {}
        return list(fresh.values())

    def withdraw(self, source: DeliverySource | None = None) -> list[ReceivedMessage]:
        """Let nobody begin with what waits."""
        taken = [take_out(items, source) for items in (*self._parked.values(), self._waiting)]
        return list(chain.from_iterable(taken))

    def stuck(self, now: float) -> bool:
        """Whether each thread is busy with a message for longer than its stream allows."""
        return (
            self._threads is not None
            and len(self._began) == self._concurrency
            and all(deadline < now for deadline in self._began.values())
        )

    async def finish(self) -> None:
        """Return when nothing is under way."""
        await self._resting.wait()

    def close(self) -> None:
        """Cancel what is under way; a thread goes on to the end of its call."""
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
        while True:
            item = item or await self._next()
            self._resting.clear()
            self._began[number] = asyncio.get_running_loop().time() + item.source.ack_timeout_s
            self._fresh[number] = item
            try:
                await self._handle(item, number)
            finally:
                del self._began[number]
                self._fresh.pop(number, None)
                if not self._began:
                    self._resting.set()
                item = self._following(item)

    async def _next(self) -> ReceivedMessage:
        """The next message whose key is not being handled."""
        while True:
            while self._waiting:
                item = self._waiting.popleft()
                if not item.key or self._concurrency == 1:
                    return item
                if item.key not in self._parked:
                    self._parked[item.key] = deque()
                    return item
                self._parked[item.key].append(item)
            future = asyncio.get_running_loop().create_future()
            self._idle.append(future)
            await future

    def _following(self, item: ReceivedMessage) -> ReceivedMessage | None:
        """The message that has waited for this one, which has been handled."""
        if not item.key or self._concurrency == 1:
            return None
        parked = self._parked[item.key]
        if parked:
            return parked.popleft()
        del self._parked[item.key]
        return None

    async def _handle(self, item: ReceivedMessage, number: int) -> None:
        calls = self._calls
        prepared = calls.prepare(item)
        if prepared is None:
            return
        message, delivery = prepared
        loop = asyncio.get_running_loop()
        limit_s = item.source.ack_timeout_s
        scope = asyncio.timeout(None if self._threads is not None else limit_s)

        def extend() -> None:
            self._began[number] = loop.time() + limit_s
            if self._threads is None:
                scope.reschedule(loop.time() + limit_s)

        delivery._extend = extend  # noqa: SLF001 - a delivery is a part of its handling
        try:
            async with scope:
                if self._threads is not None:
                    result = await loop.run_in_executor(self._threads, calls.handler, message, delivery)
                else:
                    result = calls.handler(message, delivery)
                if is_awaitable(result):
                    await result
        except CALLBACK_ERRORS as error:
            reraise_if_cancelled(error)
            if isinstance(error, TimeoutError) and scope.expired():
                reason = f"{calls.handler.label} has taken longer than ack_timeout_ms, {limit_s * 1000:g}"
                calls.runtime.logger.error("%s, and was cancelled", reason)  # noqa: TRY400 - whose traceback?
                if not delivery.settled:
                    delivery.fail(Failure(reason), 0)
            else:
                calls.raised(delivery, error)
        else:
            calls.succeeded(delivery)
        finally:
            delivery._extend = None  # noqa: SLF001 - as above
