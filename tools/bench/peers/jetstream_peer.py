"""NATS JetStream through nats-py, measured: on an asyncio loop on a thread of its own."""

from collections.abc import Callable, Iterator

import nats
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, StorageType, StreamConfig

from tools.bench.peers.loop_thread import LoopThread
from tools.bench.peers.network import Network

_STREAM = "bench"
_SUBJECT = "bench.stream"
_GROUP = "bench-group"
_ANSWER_S = 30


class _Producer:
    def __init__(self, thread: LoopThread, context: JetStreamContext) -> None:
        self._thread = thread
        self._context = context

    def ready(self) -> None:
        """Nothing: the stream waits for its consumer."""

    def send_confirmed(self, messages: Iterator[bytes]) -> None:
        self._thread.run(self._send_confirmed(messages))

    async def _send_confirmed(self, messages: Iterator[bytes]) -> None:
        publish = self._context.publish_async
        confirmed = [await publish(_SUBJECT, message) for message in messages]
        for confirmation in confirmed:
            await confirmation


class _Consumer:
    """Is pushed so many messages as it may have unacknowledged, and acknowledges each."""

    def __init__(self, take: Callable[[bytes], bool], finished: Callable[[], None]) -> None:
        self._take = take
        self._finished = finished

    def ready(self) -> None:
        """Nothing: the stream keeps what comes before."""

    async def on_message(self, message: Msg) -> None:
        if self._take(message.data):
            await message.ack_sync(_ANSWER_S)
            self._finished()
        else:
            await message.ack()


class Peer:
    """A connection to the server on the network's port."""

    def __init__(self, network: Network) -> None:
        self._thread = LoopThread()
        self._connection = self._thread.run(nats.connect(f"nats://127.0.0.1:{network.port}"))

    def producer(self, unconfirmed: int, *, stored: bool) -> _Producer:
        """Add nothing but the stream, if it is not there."""
        assert stored, "only streams in files are measured"
        return _Producer(self._thread, self._thread.run(self._stream(unconfirmed)))

    def consumer(
        self, prefetch: int, take: Callable[[bytes], bool], finished: Callable[[], None]
    ) -> _Consumer:
        """Add a member of a durable group, and the stream, if it is not there."""
        consumer = _Consumer(take, finished)
        self._thread.run(self._consume(prefetch, consumer))
        return consumer

    def start(self) -> None:
        """Nothing: a connection takes part from its making on."""

    def close(self) -> None:
        """Close connection and loop."""
        self._thread.run(self._connection.close())
        self._thread.close()

    async def _stream(self, unconfirmed: int) -> JetStreamContext:
        context = self._connection.jetstream(timeout=_ANSWER_S, publish_async_max_pending=unconfirmed)
        # By default, acknowledged messages stay in the stream; removing one would cost a sync.
        await context.add_stream(StreamConfig(name=_STREAM, subjects=[_SUBJECT], storage=StorageType.FILE))
        return context

    async def _consume(self, prefetch: int, consumer: _Consumer) -> None:
        context = await self._stream(1)
        await context.subscribe(
            _SUBJECT,
            queue=_GROUP,
            stream=_STREAM,
            cb=consumer.on_message,
            manual_ack=True,
            config=ConsumerConfig(ack_policy=AckPolicy.EXPLICIT, max_ack_pending=prefetch),
        )
        await self._connection.flush()
