"""Delivery of messages to a subscriber's callback, or to its queue."""

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


class MessageInfo(NamedTuple):
    """The metadata of a message.

    Attributes:
        topic: the topic it was published on.
        peer: the publisher's advertisement; of a plain ZeroMQ publisher only `node`, its endpoint.
        sequence: its sequence number at the publisher, beginning with 0; None if unknown.
        sent_ns: the time of sending, nanoseconds since 1970 by the sender's clock; None if unknown.
    """

    topic: str
    peer: Advertisement
    sequence: int | None = None
    sent_ns: int | None = None


class Origin(NamedTuple):
    """The common metadata of messages that arrived together.

    Attributes:
        topic: the topic they were published on.
        peer: the publisher.
        sent_ns: the time of sending, nanoseconds since 1970; None if unknown.
    """

    topic: str
    peer: Advertisement
    sent_ns: int | None


def as_info(origin: Origin, sequence: int | None) -> MessageInfo:
    """Return the metadata of one of the messages."""
    return MessageInfo(origin.topic, origin.peer, sequence, origin.sent_ns)


Sequences = Iterable[int | None]


class CallbackQueue(Protocol):
    """One way to deliver messages."""

    @property
    def dropped(self) -> int:
        """The number of messages that a full queue has dropped."""

    @property
    def waiting(self) -> tuple[int, int]:
        """The number of waiting messages, and its limit; 0 and 0 without a queue."""

    def deliver(self, messages: list[Any], sequences: Sequences, origin: Origin) -> None:
        """Deliver all messages at once."""

    def deliver_in_turns(
        self, messages: list[Any], sequences: Sequences, origin: Origin, *, wait: bool
    ) -> MoreToRead | None:
        """Deliver messages in turns with the loop's other work.

        Args:
            messages: the decoded messages.
            sequences: their sequence numbers.
            origin: their common metadata.
            wait: True to wait for room in a full queue, False to drop its oldest messages.

        Returns:
            The rest of the work; None if nothing is left.
        """

    def open(self) -> None:
        """Begin to deliver, on the loop."""

    def close(self) -> None:
        """Stop delivering."""


class DirectCallbacks:
    """Delivery by calling a plain function on the loop.

    Args:
        runtime: the node's runtime.
        handler: the callback.
        batch: True to call it with lists.
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
        """Do nothing."""

    def close(self) -> None:
        """Stop calling."""
        self._closed = True

    def deliver(self, messages: list[Any], sequences: Sequences, origin: Origin) -> None:
        """Call the callback for all messages."""
        if self._closed:  # by another callback
            return
        began = time.monotonic()
        self._call(messages, sequences, origin)
        self._pace.record(time.monotonic() - began, len(messages), self._handler.callback)

    def deliver_in_turns(
        self, messages: list[Any], sequences: Sequences, origin: Origin, *, wait: bool
    ) -> MoreToRead | None:
        """Call the callback for some messages, and for the rest in later turns."""
        del wait
        if len(messages) <= self._pace.size or self._batch:
            self.deliver(messages, sequences, origin)
            return None
        return self._in_turns(messages, sequences, origin)

    def _in_turns(self, messages: list[Any], sequences: Sequences, origin: Origin) -> MoreToRead:
        at = 0
        numbers = iter(sequences)
        while at < len(messages) and not self._closed:
            size = self._pace.size
            part = messages[at : at + size]
            self.deliver(part, islice(numbers, len(part)), origin)
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
    """Delivery through a queue, to a coroutine, a thread, or the iteration.

    Args:
        runtime: the node's runtime.
        handler: the callback; None for the iteration.
        limit: the number of messages that may wait.
        batch: True to call the callback with lists.
        executor: True to call it on a thread of its own.
        on_room: called when a full queue has room again.
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
        """The number of messages that the full queue has dropped."""
        return self.inbox.dropped

    @property
    def waiting(self) -> tuple[int, int]:
        """The number of waiting messages, and its limit."""
        return len(self.inbox), self.inbox.limit

    def open(self) -> None:
        """Begin to call the callback for the messages of the queue."""
        if self._handler is not None:
            work = self._work_on_thread if self._executor else self._work
            self._runtime.spawn(work(self._handler), self._handler.label)

    def close(self) -> None:
        """Stop; the iteration ends after the messages that wait already."""
        self._closed = True
        self.inbox.close()

    def deliver(self, messages: list[Any], sequences: Sequences, origin: Origin) -> None:
        """Add all messages; above the limit, the oldest are dropped."""
        self.inbox.put(zip(messages, repeat(origin), sequences, strict=False))

    def deliver_in_turns(
        self, messages: list[Any], sequences: Sequences, origin: Origin, *, wait: bool
    ) -> MoreToRead | None:
        """Add messages as there is room; their consumer gets a turn before any is dropped."""
        if len(messages) <= self.inbox.room:
            self.deliver(messages, sequences, origin)
            return None
        return self._in_turns(zip(messages, repeat(origin), sequences, strict=False), len(messages), wait)

    def _in_turns(self, items: Iterator[Any], left: int, wait: bool) -> MoreToRead:  # noqa: FBT001 - as it was passed
        while left and not self._closed:
            room = self.inbox.room
            if room > 0:
                self.inbox.put(islice(items, room))
                left -= min(room, left)
            elif wait:
                self.inbox.call_on_room(self._on_room)
                yield True
            else:
                yield False
                if self.inbox.room <= 0:
                    self.inbox.put(items)
                    return

    async def _work(self, handler: Handler) -> None:
        """Await a coroutine callback for one message or list after another."""
        inbox = self.inbox
        while True:
            try:
                items = await inbox.get_all() if self._batch else [await inbox.get()]
            except StopAsyncIteration:
                return
            await handler.run_to_end(*_arguments(items, batch=self._batch))

    async def _work_on_thread(self, handler: Handler) -> None:
        """Call a plain callback on a thread for one message or list after another."""
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
                self.inbox.count_dropped(len(items) - number)
                return
            handler.run(*_arguments([item], batch=False))


def _arguments(items: list[Any], *, batch: bool) -> tuple[Any, MessageInfo]:
    message, origin, sequence = items[0]
    return [item[0] for item in items] if batch else message, as_info(origin, sequence)
