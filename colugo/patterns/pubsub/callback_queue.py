"""Handing messages to a subscriber's callback, or to its queue."""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice, repeat
from typing import Any, NamedTuple, Protocol

from colugo.net.runtime import Runtime
from colugo.net.transport.socket_reader import MoreToRead
from colugo.patterns.callbacks import CALLBACK_ERRORS, Handler
from colugo.patterns.pace import Pace
from colugo.patterns.pubsub.inbox import Inbox
from colugo.protocol.advertisement import Advertisement

_THREAD_SLICE = 256


class MessageInfo(NamedTuple):
    """What is known of a message besides itself.

    Attributes:
        topic: the topic it was published on.
        peer: the publisher's advertisement; of a plain ZeroMQ publisher only `node`, its endpoint.
        sequence: its number at the publisher, from 0 on; None if there is none.
        sent_ns: when it was sent, nanoseconds since 1970 by the sender's clock; None if unknown.
    """

    topic: str
    peer: Advertisement
    sequence: int | None = None
    sent_ns: int | None = None


class Origin(NamedTuple):
    """Where messages that arrived together come from.

    Attributes:
        topic: the topic they were published on.
        peer: the publisher.
        sent_ns: when they were sent; None if unknown.
    """

    topic: str
    peer: Advertisement
    sent_ns: int | None


def as_info(origin: Origin, sequence: int | None) -> MessageInfo:
    """What is known of one of the messages."""
    return MessageInfo(origin.topic, origin.peer, sequence, origin.sent_ns)


Sequences = Iterable[int | None]


class CallbackQueue(Protocol):
    """One way of handing over."""

    @property
    def dropped(self) -> int:
        """Messages that have been dropped because they waited too long."""

    @property
    def waiting(self) -> tuple[int, int]:
        """How many messages wait, and how many may; 0 and 0 without a queue."""

    def hand(self, messages: list[Any], sequences: Sequences, origin: Origin) -> None:
        """Hand over, at once, however many they are."""

    def hand_in_turns(
        self, messages: list[Any], sequences: Sequences, origin: Origin, *, wait: bool
    ) -> MoreToRead | None:
        """Hand over, in turns with the loop's other work.

        Args:
            messages: decoded.
            sequences: their numbers.
            origin: of them.
            wait: whether to wait for room where there is a queue, instead of dropping messages.

        Returns:
            What is left to do; None if all is done.
        """

    def open(self) -> None:
        """Begin, on the loop."""

    def close(self) -> None:
        """End."""


class DirectCallbacks:
    """Calls a plain function on the loop.

    Args:
        runtime: the node's.
        handler: the callback.
        batch: whether it gets lists.
    """

    dropped = 0
    waiting = (0, 0)

    def __init__(self, runtime: Runtime, handler: Handler, *, batch: bool) -> None:
        self._handler = handler
        self._pace = Pace(handler.label, runtime.logger)
        self._call = self._call_list if batch else self._call_plain if handler.count == 1 else self._call_each
        self._batch = batch
        self._closed = False

    def open(self) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Call no more."""
        self._closed = True

    def hand(self, messages: list[Any], sequences: Sequences, origin: Origin) -> None:
        """Call back."""
        if self._closed:  # by another callback
            return
        began = time.monotonic()
        self._call(messages, sequences, origin)
        self._pace.record(time.monotonic() - began, len(messages), self._handler.callback)

    def hand_in_turns(
        self, messages: list[Any], sequences: Sequences, origin: Origin, *, wait: bool
    ) -> MoreToRead | None:
        """Call back for a few, and for the rest by and by."""
        del wait
        if len(messages) <= self._pace.size or self._batch:
            self.hand(messages, sequences, origin)
            return None
        return self._in_turns(messages, sequences, origin)

    def _in_turns(self, messages: list[Any], sequences: Sequences, origin: Origin) -> MoreToRead:
        at = 0
        numbers = iter(sequences)
        while at < len(messages) and not self._closed:
            size = self._pace.size
            part = messages[at : at + size]
            self.hand(part, islice(numbers, len(part)), origin)
            at += size
            yield False

    def _call_plain(self, messages: list[Any], sequences: Sequences, origin: Origin) -> None:
        del sequences, origin
        callback = self._handler.callback
        rest = iter(messages)
        while not self._closed:
            try:
                for message in rest:
                    result = callback(message)
                    if result is not None:
                        self._handler.finish(result)
                    if self._closed:
                        return
            except CALLBACK_ERRORS as error:
                self._handler.failed(error)
                continue
            return

    def _call_each(self, messages: list[Any], sequences: Sequences, origin: Origin) -> None:
        topic, peer, sent_ns = origin
        infos = map(MessageInfo, repeat(topic), repeat(peer), sequences, repeat(sent_ns))
        for message, info in zip(messages, infos, strict=False):
            self._handler.run(message, info)
            if self._closed:
                return

    def _call_list(self, messages: list[Any], sequences: Sequences, origin: Origin) -> None:
        self._handler.run(messages, as_info(origin, next(iter(sequences), None)))


class QueuedCallbacks:
    """Puts messages into a queue, for a coroutine, a thread, or the iteration.

    Args:
        runtime: the node's.
        handler: the callback; None for the iteration.
        limit: how many messages may wait.
        batch: whether the callback gets lists.
        executor: whether the callback runs on a thread of its own.
        on_room: called when there is room again, after there was none.
    """

    def __init__(
        self,
        runtime: Runtime,
        handler: Handler | None,
        *,
        limit: int,
        batch: bool,
        executor: bool,
        on_room: Callable[[], None],
    ) -> None:
        self.inbox = Inbox(limit)
        self._runtime = runtime
        self._handler = handler
        self._batch = batch
        self._executor = executor
        self._on_room = on_room
        self._closed = False

    @property
    def dropped(self) -> int:
        """Messages that the full queue has dropped."""
        return self.inbox.dropped

    @property
    def waiting(self) -> tuple[int, int]:
        """How many messages wait, and how many may."""
        return len(self.inbox), len(self.inbox) + self.inbox.room

    def open(self) -> None:
        """Let the callback have what is in the queue."""
        if self._handler is not None:
            work = self._work_on_thread if self._executor else self._work
            self._runtime.spawn(work(self._handler), self._handler.label)

    def close(self) -> None:
        """End: the iteration ends after what waits already."""
        self._closed = True
        self.inbox.close()

    def hand(self, messages: list[Any], sequences: Sequences, origin: Origin) -> None:
        """Put all in; what is over the limit drops the oldest."""
        self.inbox.put(zip(messages, repeat(origin), sequences, strict=False))

    def hand_in_turns(
        self, messages: list[Any], sequences: Sequences, origin: Origin, *, wait: bool
    ) -> MoreToRead | None:
        """Put them in as there is room; whoever takes them has a turn before anything is dropped."""
        if len(messages) <= self.inbox.room:
            self.hand(messages, sequences, origin)
            return None
        return self._in_turns(zip(messages, repeat(origin), sequences, strict=False), len(messages), wait)

    def _in_turns(self, items: Iterator[Any], left: int, wait: bool) -> MoreToRead:  # noqa: FBT001 - as it was given
        while left and not self._closed:
            room = self.inbox.room
            if room > 0:
                self.inbox.put(islice(items, room))
                left -= min(room, left)
            elif wait:
                self.inbox.on_room = self._resume
                yield True
            else:
                yield False
                if self.inbox.room <= 0:
                    self.inbox.put(items)
                    return
        self.inbox.on_room = None

    def _resume(self) -> None:
        self.inbox.on_room = None
        self._on_room()

    async def _work(self, handler: Handler) -> None:
        """Run a coroutine callback, one message or list after another."""
        inbox = self.inbox
        while True:
            try:
                items = await inbox.get_all() if self._batch else [await inbox.get()]
            except StopAsyncIteration:
                return
            await handler.run_to_end(*_arguments(items, batch=self._batch))

    async def _work_on_thread(self, handler: Handler) -> None:
        """Run a plain callback on a thread, one message or list after another."""
        loop = asyncio.get_running_loop()
        with_thread = ThreadPoolExecutor(1, f"colugo {self._runtime.name} {handler.label}")
        try:
            while True:
                items = await self.inbox.get_all()
                await loop.run_in_executor(with_thread, self._run_here, handler, items)
        except StopAsyncIteration:
            return
        finally:
            with_thread.shutdown(wait=False, cancel_futures=True)

    def _run_here(self, handler: Handler, items: list[Any]) -> None:
        if self._batch:
            handler.run(*_arguments(items, batch=True))
            return
        for number, item in enumerate(items):
            if self._closed:
                self.inbox.dropped += len(items) - number
                return
            handler.run(*_arguments([item], batch=False))


def _arguments(items: list[Any], *, batch: bool) -> tuple[Any, MessageInfo]:
    message, origin, sequence = items[0]
    return [item[0] for item in items] if batch else message, as_info(origin, sequence)
