"""Handing messages of streams to a consumer's callback, and saying what has become of them."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from typing import Any, Protocol

from colugo.errors import DecodeError
from colugo.net.runtime import Runtime
from colugo.patterns.base import Complaints
from colugo.patterns.callbacks import CALLBACK_ERRORS, Handler, is_awaitable, reraise_if_cancelled
from colugo.patterns.pace import Pace
from colugo.patterns.streams.consumed import Delivery, Item, Source
from colugo.protocol.codecs import Codec
from colugo.protocol.deliveries import FLAG_REDELIVERED
from colugo.protocol.messages import FLAG_TEXT
from colugo.protocol.ranges import to_ranges
from colugo.protocol.settlements import Failure, Outcome, Settlement, report_failure


@dataclass(slots=True)
class Counts:
    """What a consumer has had.

    Attributes:
        handed: messages handed to the callback, each time counted.
        acknowledged: of those, how many were acknowledged.
        redelivered: of those handed, how many a consumer of the group may have had before.
        failed: how many were given back: the callback raised, took too long, or said so.
        undecodable: messages that did not fit the codec.
    """

    handed: int = 0
    acknowledged: int = 0
    redelivered: int = 0
    failed: int = 0
    undecodable: int = 0


class Calls:
    """What one call of the callback is made of, however it is run.

    Args:
        runtime: the node's.
        handler: the callback.
        codec: for messages.
        auto_ack: whether returning acknowledges.
        counts: what is counted.
    """

    def __init__(
        self, runtime: Runtime, handler: Handler, codec: Codec, *, auto_ack: bool, counts: Counts
    ) -> None:
        self.runtime = runtime
        self.handler = handler
        self.counts = counts
        self._codec = codec
        self._auto_ack = auto_ack
        self._complaints = Complaints(runtime)

    def prepare(self, item: Item) -> tuple[Any, Delivery] | None:
        """The arguments of a call; None if the message cannot be decoded, which has been said then."""
        flags = item.flags
        redelivered = bool(flags & FLAG_REDELIVERED)
        delivery = Delivery(item, redelivered=redelivered, submit=self.submit)
        try:
            message = self._codec.unpack(item.payload, text=bool(flags & FLAG_TEXT))
        except DecodeError as error:
            self.undecodable(item, error)
            delivery.fail(report_failure(error))
            return None
        self.counts.handed += 1
        self.counts.redelivered += redelivered
        return message, delivery

    def undecodable(self, item: Item, error: DecodeError) -> None:
        """A message does not fit the codec: whoever has given the wrong one sees nothing else of it."""
        self.counts.undecodable += 1
        text = f"message {item.id} of {item.source.topic} cannot be decoded, and is given back"
        self._complaints.warn(item.source, text, error)

    def succeeded(self, delivery: Delivery) -> None:
        """The callback has returned."""
        if self._auto_ack and not delivery.settled:
            delivery.ack()

    def raised(self, delivery: Delivery, error: BaseException) -> None:
        """The callback has raised."""
        self.handler.failed(error, f" at message {delivery.id}, try {delivery.attempt}")
        if not delivery.settled:
            delivery.fail(report_failure(error))

    def submit(self, action: Callable[..., None], *args: Any) -> None:
        """Say it on the node's thread; after its end, nobody listens."""
        if not self.runtime.closed:
            self.runtime.submit(self._say, action, *args)

    def _say(self, action: Callable[..., None], *args: Any) -> None:
        if args and isinstance(args[0], Settlement):
            self.counts.failed += args[0].outcome is Outcome.NACK
        elif args:
            self.counts.acknowledged += 1
        action(*args)


class Handling(Protocol):
    """One way of calling back."""

    def open(self) -> None:
        """Begin, on the loop."""

    def put(self, items: Iterable[Item]) -> None:
        """Hand over messages, in their order."""

    def waiting(self) -> list[Item]:
        """Messages with which nobody has begun."""

    def begun(self) -> list[Item]:
        """Messages that are being handled, and were not when this was asked the last time."""

    def withdraw(self, source: Source | None = None) -> list[Item]:
        """Let nobody begin with what waits.

        Args:
            source: only what has come from this one; None for all.

        Returns:
            What had waited, in its order.
        """

    def stuck(self, now: float) -> bool:
        """Whether nothing can be begun, since all that was begun takes longer than its stream allows."""

    async def finish(self) -> None:
        """Return when nothing that was begun is under way."""

    def close(self) -> None:
        """End; who is at work is cancelled."""


class OnLoop:
    """Calls a plain function on the loop, in turns with its other work.

    Args:
        calls: what a call is made of.
        codec: for messages.
        simple: whether the callback takes the message alone, and returning acknowledges.
        prefetch: how many messages may be here at a time. Half of them are acknowledged while the others
            wait, so that the stream sends more meanwhile.
    """

    def __init__(self, calls: Calls, codec: Codec, *, simple: bool, prefetch: int) -> None:
        self._waiting: deque[Item] = deque()
        self._calls = calls
        self._codec = codec
        self._half = (prefetch + 1) // 2
        self._handle = self._handle_simple if simple else self._handle_any
        self._pace = Pace(calls.handler.label, calls.runtime.logger)
        self._scheduled = False
        self._closed = False
        self._tasks: set[asyncio.Task[Any]] = set()

    def open(self) -> None:
        """Nothing to do."""

    def put(self, items: Iterable[Item]) -> None:
        """Hand over messages."""
        self._waiting.extend(items)
        self._schedule()

    def waiting(self) -> list[Item]:
        """Messages with which nobody has begun."""
        return list(self._waiting)

    def begun(self) -> list[Item]:
        """None: while a function holds the loop, nobody can ask."""
        return []

    def withdraw(self, source: Source | None = None) -> list[Item]:
        """Let nobody begin with what waits."""
        return _take_out(self._waiting, source)

    def stuck(self, now: float) -> bool:
        """Never: while a function holds the loop, nobody can ask."""
        del now
        return False

    async def finish(self) -> None:
        """Wait for what plain functions have returned to be awaited."""
        if self._tasks:
            await asyncio.wait(self._tasks)

    def close(self) -> None:
        """Call no more."""
        self._closed = True
        for task in self._tasks:
            task.cancel()

    def _schedule(self) -> None:
        if not self._scheduled and self._waiting:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._pump)

    def _pump(self) -> None:
        self._scheduled = False
        waiting = self._waiting
        began = time.monotonic()
        done: dict[Source, list[int]] = {}
        count = 0
        for _ in range(min(self._pace.size, self._half, len(waiting))):
            if self._closed or not waiting:  # by the callback
                break
            item = waiting.popleft()
            count += 1
            if self._handle(item):
                done.setdefault(item.source, []).append(item.seq)
        for source, seqs in done.items():
            self._calls.counts.acknowledged += len(seqs)
            source.acknowledge_all(seqs, to_ranges(seqs))
        if count:
            self._pace.took(time.monotonic() - began, count, self._calls.handler.callback)
        self._schedule()

    def _handle_simple(self, item: Item) -> bool:
        """Call with the message alone; whether it is to be acknowledged."""
        calls = self._calls
        flags = item.flags
        try:
            message = self._codec.unpack(item.payload, text=bool(flags & FLAG_TEXT))
        except DecodeError as error:
            calls.undecodable(item, error)
            self._fail(item, error)
            return False
        counts = calls.counts
        counts.handed += 1
        if flags & FLAG_REDELIVERED:
            counts.redelivered += 1
        try:
            result = calls.handler.callback(message)
        except CALLBACK_ERRORS as error:
            calls.handler.failed(error, f" at message {item.id}, try {item.attempt}")
            self._fail(item, error)
            return False
        if result is not None and is_awaitable(result):
            self._await(
                result, Delivery(item, redelivered=bool(flags & FLAG_REDELIVERED), submit=calls.submit)
            )
            return False
        return True

    def _fail(self, item: Item, error: BaseException) -> None:
        self._calls.counts.failed += 1
        item.source.tell(Settlement(item.seq, Outcome.NACK, failure=report_failure(error)))

    def _handle_any(self, item: Item) -> bool:
        calls = self._calls
        prepared = calls.prepare(item)
        if prepared is None:
            return False
        message, delivery = prepared
        try:
            result = calls.handler(message, delivery)
        except CALLBACK_ERRORS as error:
            calls.raised(delivery, error)
            return False
        if is_awaitable(result):
            self._await(result, delivery)
        else:
            calls.succeeded(delivery)
        return False

    def _await(self, result: Any, delivery: Delivery) -> None:
        task = self._calls.runtime.spawn(self._finish_call(result, delivery), self._calls.handler.label)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _finish_call(self, result: Any, delivery: Delivery) -> None:
        try:
            await result
        except CALLBACK_ERRORS as error:
            reraise_if_cancelled(error)
            self._calls.raised(delivery, error)
        else:
            self._calls.succeeded(delivery)


class InTasks:
    """Runs a coroutine function, or a plain one on threads, for some messages at a time.

    Messages of one key are handled one after another. A coroutine that takes longer than its stream's
    `ack_timeout_ms` without `delivery.working()` is cancelled: the message is redelivered.

    Args:
        calls: what a call is made of.
        concurrency: how many at a time.
        executor: whether on threads.
    """

    def __init__(self, calls: Calls, *, concurrency: int, executor: bool) -> None:
        self._waiting: deque[Item] = deque()
        self._calls = calls
        self._concurrency = concurrency
        label = f"colugo {calls.runtime.name} {calls.handler.label}"
        self._threads = ThreadPoolExecutor(concurrency, label) if executor else None
        self._idle: deque[asyncio.Future[None]] = deque()
        self._parked: dict[str, deque[Item]] = {}
        """What waits for another message of its key, by that; of each key of which one is being handled."""
        self._began: dict[int, float] = {}
        self._fresh: dict[int, Item] = {}
        """What has been begun since `begun` was asked the last time."""
        self._tasks: list[asyncio.Task[Any]] = []
        self._resting = asyncio.Event()

    def open(self) -> None:
        """Begin."""
        self._resting.set()
        for number in range(self._concurrency):
            self._tasks.append(self._calls.runtime.spawn(self._work(number), self._calls.handler.label))

    def put(self, items: Iterable[Item]) -> None:
        """Hand over messages."""
        before = len(self._waiting)
        self._waiting.extend(items)
        self._wake(len(self._waiting) - before)

    def waiting(self) -> list[Item]:
        """Messages with which nobody has begun."""
        return [*chain.from_iterable(self._parked.values()), *self._waiting]

    def begun(self) -> list[Item]:
        """Messages that are being handled, and were not when this was asked the last time."""
        fresh, self._fresh = self._fresh, {}
        return list(fresh.values())

    def withdraw(self, source: Source | None = None) -> list[Item]:
        """Let nobody begin with what waits."""
        taken = [_take_out(items, source) for items in (*self._parked.values(), self._waiting)]
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
        item: Item | None = None
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

    async def _next(self) -> Item:
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

    def _following(self, item: Item) -> Item | None:
        """The message that has waited for this one, which has been handled."""
        if not item.key or self._concurrency == 1:
            return None
        parked = self._parked[item.key]
        if parked:
            return parked.popleft()
        del self._parked[item.key]
        return None

    async def _handle(self, item: Item, number: int) -> None:
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


def _take_out(items: deque[Item], source: Source | None) -> list[Item]:
    """Take those of a source, or all, out of what waits."""
    taken = [item for item in items if source is None or item.source is source]
    kept = [item for item in items if source is not None and item.source is not source]
    items.clear()
    items.extend(kept)
    return taken
