"""Calls of a plain function on the loop."""

import asyncio
import time
from collections.abc import Iterable
from typing import Any

from colugo.errors import DecodeError
from colugo.patterns.callbacks import CALLBACK_ERRORS, is_awaitable, reraise_if_cancelled
from colugo.patterns.pace import Pace
from colugo.patterns.streams.consuming.delivery import Delivery, DeliverySource, ReceivedMessage
from colugo.patterns.streams.consuming.handling import CallbackRunner, Handling
from colugo.protocol.codecs import Codec
from colugo.protocol.streams.deliveries import FLAG_REDELIVERED
from colugo.protocol.streams.ranges import to_ranges
from colugo.protocol.streams.settlements import Settlement, SettlementOutcome, report_failure
from colugo.protocol.streams.stream_message import FLAG_TEXT


class OnLoop(Handling):
    """Calls a plain function on the loop, in batches between the loop's other work.

    A `simple` callback takes only the message, and its return acknowledges that. Half of the prefetched
    messages are acknowledged while the other half waits, so that the stream sends more meanwhile.
    """

    def __init__(self, runner: CallbackRunner, codec: Codec, *, simple: bool, prefetch: int) -> None:
        super().__init__(runner)
        self._codec = codec
        self._half = (prefetch + 1) // 2
        self._handle = self._handle_simple if simple else self._handle_any
        self._pace = Pace(runner.handler.label, runner.runtime.logger)
        self._scheduled = False
        self._closed = False
        self._tasks: set[asyncio.Task[Any]] = set()

    def put(self, items: Iterable[ReceivedMessage]) -> None:
        """Queue messages, in their order."""
        self._waiting.extend(items)
        self._schedule()

    async def finish(self) -> None:
        """Wait for awaitables that the function has returned."""
        if self._tasks:
            await asyncio.wait(self._tasks)

    def close(self) -> None:
        """Call no more, and cancel tasks in progress."""
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
        done: dict[DeliverySource, list[int]] = {}
        count = 0
        for _ in range(min(self._pace.size, self._half, len(waiting))):
            if self._closed or not waiting:  # the callback has closed the consumer, or withdrawn messages
                break
            item = waiting.popleft()
            count += 1
            if self._handle(item):
                done.setdefault(item.source, []).append(item.seq)
        for source, seqs in done.items():
            self._runner.counts.acknowledged += len(seqs)
            source.acknowledge_all(seqs, to_ranges(seqs))
        if count:
            self._pace.record(time.monotonic() - began, count, self._runner.handler.callback)
        self._schedule()

    def _handle_simple(self, item: ReceivedMessage) -> bool:
        """Call with the message only, and return True to acknowledge it."""
        runner = self._runner
        flags = item.flags
        try:
            message = self._codec.unpack(item.payload, text=bool(flags & FLAG_TEXT))
        except DecodeError as error:
            runner.undecodable(item, error)
            self._fail(item, error)
            return False
        counts = runner.counts
        counts.received += 1
        if flags & FLAG_REDELIVERED:
            counts.redelivered += 1
        try:
            result = runner.handler.callback(message)
        except CALLBACK_ERRORS as error:
            runner.handler.failed(error, f" at message {item.id}, attempt {item.attempt}")
            self._fail(item, error)
            return False
        if result is not None and is_awaitable(result):
            self._await(
                result, Delivery(item, redelivered=bool(flags & FLAG_REDELIVERED), submit=runner.submit)
            )
            return False
        return True

    def _fail(self, item: ReceivedMessage, error: BaseException) -> None:
        self._runner.counts.failed += 1
        item.source.settle(Settlement(item.seq, SettlementOutcome.NACK, failure=report_failure(error)))

    def _handle_any(self, item: ReceivedMessage) -> bool:
        runner = self._runner
        prepared = runner.prepare(item)
        if prepared is None:
            return False
        message, delivery = prepared
        try:
            result = runner.handler(message, delivery)
        except CALLBACK_ERRORS as error:
            runner.raised(delivery, error)
            return False
        if is_awaitable(result):
            self._await(result, delivery)
        else:
            runner.succeeded(delivery)
        return False

    def _await(self, result: Any, delivery: Delivery) -> None:
        task = self._runner.runtime.spawn(self._finish_call(result, delivery), self._runner.handler.label)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _finish_call(self, result: Any, delivery: Delivery) -> None:
        try:
            await result
        except CALLBACK_ERRORS as error:
            reraise_if_cancelled(error)
            self._runner.raised(delivery, error)
        else:
            self._runner.succeeded(delivery)
