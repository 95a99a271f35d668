"""colugo's streams, measured."""

import asyncio
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from colugo import Node

_BURST = 1000


class StreamProducer:
    """A stream of a node, with one group that counts."""

    def __init__(self, node: Node, stream: Any, unconfirmed: int) -> None:
        self._node = node
        self._stream = stream
        self._unconfirmed = unconfirmed

    def ready(self) -> None:
        """Return when a consumer has come."""
        self._node.run(self._stream.ready())

    def send_confirmed(self, messages: Iterator[bytes]) -> None:
        """Send them, each of so many tasks one after another; return when all have been acknowledged, too."""
        self._node.run(self._send_confirmed(messages))

    def send_all(self, messages: Iterator[bytes]) -> None:
        """Send them as they come, and return when all have been acknowledged."""
        self._node.run(self._send_all(messages))

    async def _send_confirmed(self, messages: Iterator[bytes]) -> None:
        send_wait = self._stream.send_wait

        async def send_some() -> None:
            for message in messages:
                await send_wait(message)

        await asyncio.gather(*(send_some() for _ in range(self._unconfirmed)))
        await self._stream.drained()

    async def _send_all(self, messages: Iterator[bytes]) -> None:
        send = self._stream.send
        while burst := list(islice(messages, _BURST)):
            for message in burst:
                send(message)
            await asyncio.sleep(0)
        await self._stream.drained()


class StreamConsumer:
    """A consumer of a node; returning acknowledges."""

    def __init__(self, node: Node, consumer: Any) -> None:
        self._node = node
        self._consumer = consumer

    def ready(self) -> None:
        """Return when a stream is there."""
        self._node.run(self._consumer.ready())


def counting(take: Callable[[bytes], bool], finished: Callable[[], None]) -> Callable[[bytes], None]:
    """Return a consumer's callback; only the producer knows when everything is acknowledged."""

    def on_message(message: bytes) -> None:
        if take(message):
            finished()

    return on_message
