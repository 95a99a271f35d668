"""RabbitMQ through aio-pika, measured: on an asyncio loop on a thread of its own."""

import asyncio
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractQueue

from tools.bench.peers.loop_thread import LoopThread
from tools.bench.peers.network import Network

_QUEUE = "bench"


class _Producer:
    def __init__(self, thread: LoopThread, channel: AbstractChannel, unconfirmed: int) -> None:
        self._thread = thread
        self._channel = channel
        self._unconfirmed = unconfirmed

    def ready(self) -> None:
        """Nothing: the queue waits for its consumer."""

    def send_confirmed(self, messages: Iterator[bytes]) -> None:
        self._thread.run(self._send_confirmed(messages))

    async def _send_confirmed(self, messages: Iterator[bytes]) -> None:
        publish, persistent = self._channel.default_exchange.publish, aio_pika.DeliveryMode.PERSISTENT
        while some := list(islice(messages, self._unconfirmed)):
            await asyncio.gather(
                *(
                    publish(aio_pika.Message(body, delivery_mode=persistent), _QUEUE, mandatory=False)
                    for body in some
                )
            )


class _Consumer:
    """Iterates over the queue, and acknowledges whenever half of what it may have unacknowledged has come."""

    def __init__(
        self, queue: AbstractQueue, every: int, take: Callable[[bytes], bool], finished: Callable[[], None]
    ) -> None:
        self._queue = queue
        self._every = every
        self._take = take
        self._finished = finished

    def ready(self) -> None:
        """Nothing: the queue keeps what comes before."""

    async def run(self) -> None:
        number = 0
        async with self._queue.iterator() as messages:
            async for message in messages:
                number += 1
                last = self._take(message.body)
                if last or number % self._every == 0:
                    await message.ack(multiple=True)
                if last:
                    # The server answers on a channel when it has done what came before.
                    await self._queue.channel.declare_queue(_QUEUE, passive=True)
                    self._finished()


class Peer:
    """A connection to the server on the network's port."""

    def __init__(self, network: Network) -> None:
        self._thread = LoopThread()
        self._consuming: asyncio.Task[None] | None = None
        self._connection = self._thread.run(self._connect(network.port))

    def producer(self, unconfirmed: int, *, stored: bool) -> _Producer:
        """Add a channel that publishes to the durable queue, which is made if it is not there."""
        assert stored, "only persistent messages are measured"
        channel = self._thread.run(self._channel(publisher_confirms=True))
        return _Producer(self._thread, channel, unconfirmed)

    def consumer(
        self, prefetch: int, take: Callable[[bytes], bool], finished: Callable[[], None]
    ) -> _Consumer:
        """Add a channel that consumes the durable queue, which is made if it is not there."""
        return self._thread.run(self._consume(prefetch, take, finished))

    def start(self) -> None:
        """Nothing: a connection takes part from its making on."""

    def close(self) -> None:
        """Close connection and loop."""
        self._thread.run(self._close())
        self._thread.close()

    async def _connect(self, port: int) -> Any:
        return await aio_pika.connect(f"amqp://guest:guest@127.0.0.1:{port}/")

    async def _channel(self, *, publisher_confirms: bool) -> AbstractChannel:
        channel: AbstractChannel = await self._connection.channel(publisher_confirms=publisher_confirms)
        await channel.declare_queue(_QUEUE, durable=True)
        return channel

    async def _consume(
        self, prefetch: int, take: Callable[[bytes], bool], finished: Callable[[], None]
    ) -> _Consumer:
        channel = await self._channel(publisher_confirms=False)
        await channel.set_qos(prefetch_count=prefetch)
        consumer = _Consumer(await channel.get_queue(_QUEUE), prefetch // 2, take, finished)
        self._consuming = asyncio.create_task(consumer.run(), name="consumer")
        return consumer

    async def _close(self) -> None:
        if self._consuming is not None:
            self._consuming.cancel()
            await asyncio.gather(self._consuming, return_exceptions=True)
        await self._connection.close()
