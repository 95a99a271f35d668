"""Calling a plain function on the loop for each message of a stream."""

import asyncio
import time
from collections import deque
from collections.abc import Iterable
from typing import Any

from colugo.errors import DecodeError
from colugo.patterns.callbacks import CALLBACK_ERRORS, is_awaitable, reraise_if_cancelled
from colugo.patterns.pace import Pace
from colugo.patterns.streams.consuming.delivery import Delivery, DeliverySource, ReceivedMessage
from colugo.patterns.streams.consuming.handling import CallbackRunner, take_out
from colugo.protocol.codecs import Codec
from colugo.protocol.streams.deliveries import FLAG_REDELIVERED
from colugo.protocol.streams.ranges import to_ranges
from colugo.protocol.streams.settlements import Settlement, SettlementOutcome, report_failure
from colugo.protocol.streams.stream_message import FLAG_TEXT


class OnLoop:
    """Calls a plain function on the loop, in turns with its other work.

    Args:
        calls: what a call is made of.
        codec: for messages.
        simple: whether the callback takes the message alone, and returning acknowledges.
        prefetch: how many messages may be here at a time. Half of them are acknowledged while the others
            wait, so that the stream sends more meanwhile.
    """

    def __init__(self, calls: CallbackRunner, codec: Codec, *, simple: bool, prefetch: int) -> None:
        self._waiting: deque[ReceivedMessage] = deque()
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

    def put(self, items: Iterable[ReceivedMessage]) -> None:
        """Hand over messages."""
        self._waiting.extend(items)
        self._schedule()

    def waiting(self) -> list[ReceivedMessage]:
        """Messages with which nobody has begun."""
        return list(self._waiting)

    def begun(self) -> list[ReceivedMessage]:
        """None: while a function holds the loop, nobody can ask."""
        return []

    def withdraw(self, source: DeliverySource | None = None) -> list[ReceivedMessage]:
        """Let nobody begin with what waits."""
        return take_out(self._waiting, source)

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
        done: dict[DeliverySource, list[int]] = {}
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
            self._pace.record(time.monotonic() - began, count, self._calls.handler.callback)
        self._schedule()

    def _handle_simple(self, item: ReceivedMessage) -> bool:
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

    def _fail(self, item: ReceivedMessage, error: BaseException) -> None:
        self._calls.counts.failed += 1
        item.source.tell(Settlement(item.seq, SettlementOutcome.NACK, failure=report_failure(error)))

    def _handle_any(self, item: ReceivedMessage) -> bool:
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
