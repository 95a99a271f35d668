"""nats-py with a nats-server, measured: on an asyncio loop on a thread of its own."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from functools import partial

import nats
import nats.errors
from nats.aio.client import Client as Connection
from nats.aio.msg import Msg

from tools.bench.peers.base import REQUEST_TIMEOUT_S, OnMessage
from tools.bench.peers.loop_thread import LoopThread
from tools.bench.peers.network import Network
from tools.bench.peers.pacing import pace_on_loop

_NO_LIMIT = 1 << 40
_FLUSH_S = 60


class _Part:
    """Taken away with its peer."""

    def close(self) -> None:
        """Do nothing."""


class _Publisher(_Part):
    def __init__(self, thread: LoopThread, connection: Connection, topic: str) -> None:
        self._thread = thread
        self._connection = connection
        self._topic = topic

    def send_all(self, message: bytes, count: int) -> None:
        self._thread.run(self._send_all(message, count))

    def pace(self, make: Callable[[], bytes], ticks: int, per_tick: int) -> None:
        publish = partial(self._connection.publish, self._topic)
        self._thread.run(pace_on_loop(publish, make, ticks, per_tick))

    async def _send_all(self, message: bytes, count: int) -> None:
        publish, topic = self._connection.publish, self._topic
        for _ in range(count):
            await publish(topic, message)
        await self._connection.flush(_FLUSH_S)


class _Client:
    def __init__(self, thread: LoopThread, connection: Connection, topic: str) -> None:
        self._thread = thread
        self._connection = connection
        self._topic = topic

    def one_by_one(self, message: bytes, on_reply: OnMessage, count: int) -> list[int]:
        return self._thread.run(self._ask(message, on_reply, iter(range(count))))

    def keep_in_flight(self, message: bytes, on_reply: OnMessage, count: int, in_flight: int) -> None:
        async def keep() -> None:
            left = iter(range(count))
            await asyncio.gather(*(self._ask(message, on_reply, left) for _ in range(in_flight)))

        self._thread.run(keep())

    async def _ask(self, message: bytes, on_reply: OnMessage, left: Iterator[int]) -> list[int]:
        times = []
        for _ in left:
            began = time.monotonic_ns()
            try:
                reply = await self._connection.request(self._topic, message, timeout=REQUEST_TIMEOUT_S)
            except nats.errors.Error:
                continue
            times.append(time.monotonic_ns() - began)
            on_reply(reply.data)
        return times


class Peer:
    """A connection to the server on the network's port."""

    def __init__(self, network: Network) -> None:
        self._thread = LoopThread()
        self._connection = self._thread.run(nats.connect(f"nats://127.0.0.1:{network.port}"))

    def publisher(self, topic: str) -> _Publisher:
        """Add a publisher."""
        return _Publisher(self._thread, self._connection, topic)

    def subscriber(self, topic: str, on_message: OnMessage) -> _Part:
        """Add a subscriber."""

        async def take(message: Msg) -> None:
            on_message(message.data)

        self._subscribe(topic, take)
        return _Part()

    def server(self, topic: str) -> _Part:
        """Add a subscriber that answers."""

        async def answer(message: Msg) -> None:
            await message.respond(message.data)

        self._subscribe(topic, answer)
        return _Part()

    def client(self, topic: str) -> _Client:
        """Add nothing: a connection can ask."""
        return _Client(self._thread, self._connection, topic)

    def start(self) -> None:
        """Nothing: a connection takes part from its making on."""

    def close(self) -> None:
        """Close connection and loop."""
        self._thread.run(self._connection.close())
        self._thread.close()

    def _subscribe(self, topic: str, callback: Callable[[Msg], Awaitable[None]]) -> None:
        async def subscribe() -> None:
            await self._connection.subscribe(
                topic, cb=callback, pending_msgs_limit=_NO_LIMIT, pending_bytes_limit=_NO_LIMIT
            )
            await self._connection.flush()

        self._thread.run(subscribe())
