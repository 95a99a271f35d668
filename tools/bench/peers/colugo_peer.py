"""colugo, measured: a node on a thread of its own."""

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import colugo
from colugo import FlowError, Node, Repeater, ReplyServer, RequestClient, RequestError, Subscriber
from tools.bench.peers.base import REQUEST_TIMEOUT_S, OnMessage
from tools.bench.peers.colugo_stream import StreamConsumer, StreamProducer, counting
from tools.bench.peers.network import Network
from tools.bench.peers.pacing import pace_on_loop
from tools.bench.peers.window import Window

_TIMEOUT_MS = REQUEST_TIMEOUT_S * 1000
# restricts a node to a transport
_NODE_OPTIONS: Mapping[str, Mapping[str, Any]] = {"tcp": {"ipc": False}, "ipc": {}}
# prevents loss
_LOSSLESS: Mapping[str, Any] = {"flow": "wait", "hwm": 1_000_000}
_STREAM = "bench.stream"
_GROUP = "bench"
_BURST = 1000
_BURST_BYTES = 1 << 22


class _Publisher:
    def __init__(self, node: Node, publisher: colugo.Publisher) -> None:
        self._node = node
        self._publisher = publisher
        self.close = publisher.close

    def send_all(self, message: bytes, count: int) -> None:
        self._node.run(self._send_all(message, count))

    def pace(self, make: Callable[[], bytes], ticks: int, per_tick: int) -> None:
        self._node.run(pace_on_loop(self._publisher.send, make, ticks, per_tick))

    async def _send_all(self, message: bytes, count: int) -> None:
        send, send_wait = self._publisher.send, self._publisher.send_wait
        burst = max(1, min(_BURST, _BURST_BYTES // len(message)))
        for sent in range(0, count, burst):
            for _ in range(min(burst, count - sent)):
                try:
                    send(message)
                except FlowError:  # the quicker half of what send_wait does
                    await send_wait(message)
            await asyncio.sleep(0)


class _Client:
    def __init__(self, node: Node, client: RequestClient) -> None:
        self._node = node
        self._client = client

    def one_by_one(self, message: bytes, on_reply: OnMessage, count: int) -> list[int]:
        return self._node.run(self._one_by_one(message, on_reply, count))

    def keep_in_flight(self, message: bytes, on_reply: OnMessage, count: int, in_flight: int) -> None:
        def answered(reply: bytes) -> None:
            on_reply(reply)
            window.ended()

        send = self._client.send
        window = Window(
            lambda: send(message, answered, timeout=_TIMEOUT_MS, timeout_handler=window.ended),
            count,
            in_flight,
        )
        self._node.loop.add_callback(window.open)
        window.wait()

    async def _one_by_one(self, message: bytes, on_reply: OnMessage, count: int) -> list[int]:
        times = []
        for _ in range(count):
            began = time.monotonic_ns()
            try:
                reply = await self._client.request(message, _TIMEOUT_MS)
            except RequestError:
                continue
            times.append(time.monotonic_ns() - began)
            on_reply(reply)
        return times


class Peer:
    """A node; the number of its network is part of its realm."""

    def __init__(self, network: Network) -> None:
        options = _NODE_OPTIONS[network.transport]
        self._node = Node("bench", realm=f"bench-{network.port}", scope="host", **options)
        self._running = ExitStack()

    def publisher(self, topic: str) -> _Publisher:
        """Add a publisher."""
        return _Publisher(self._node, self._node.add_publisher(topic, **_LOSSLESS))

    def subscriber(self, topic: str, on_message: OnMessage) -> Subscriber:
        """Add a subscriber."""
        return self._node.add_subscriber(topic, on_message)

    def server(self, topic: str) -> ReplyServer:
        """Add a reply server."""
        return self._node.add_reply_server(topic, lambda message, reply: reply(message))

    def client(self, topic: str) -> _Client:
        """Add a request client, and wait for its server."""
        client = self._node.add_request_client(topic)
        self._node.run(client.ready())
        return _Client(self._node, client)

    def producer(self, unconfirmed: int, *, stored: bool) -> StreamProducer:
        """Add a stream, with its store in a folder of its own."""
        node: Any = self._node
        # Removed after the node has stopped.
        folder = self._running.enter_context(TemporaryDirectory(prefix="colugo-bench-"))
        store = Path(folder) / "store" if stored else None
        return StreamProducer(
            self._node, node.add_stream(_STREAM, store=store, groups=(_GROUP,)), unconfirmed
        )

    def consumer(
        self, prefetch: int, take: Callable[[bytes], bool], finished: Callable[[], None]
    ) -> StreamConsumer:
        """Add a consumer."""
        node: Any = self._node
        consumer = node.add_consumer(_STREAM, counting(take, finished), group=_GROUP, prefetch=prefetch)
        return StreamConsumer(self._node, consumer)

    def announcer(self, topic: str) -> colugo.Publisher:
        """Add a publisher, which is advertised over mDNS."""
        return self._node.add_publisher(topic)

    def watcher(self, topic: str, on_connect: Callable[[], None]) -> Subscriber:
        """Add a subscriber whose `on_connect` tells."""
        return self._node.add_subscriber(topic, lambda _: None, on_connect)

    def repeat(self, delay_ms: int, action: Callable[[], None]) -> Repeater:
        """Call back at a fixed rate, on the node's loop."""
        return self._node.add_repeater(delay_ms, action)

    def call(self, action: Callable[[], None]) -> None:
        """Call back soon, on the node's loop."""
        self._node.loop.add_callback(action)

    def known(self, prefix: str) -> int:
        """How many publishers of topics that begin like this are known, without being connected."""
        return sum(advertisement.topic.startswith(prefix) for advertisement in self._node.advertisements)

    def start(self) -> None:
        """Start the node on its thread."""
        self._running.enter_context(self._node.running())

    def close(self) -> None:
        """Stop the node."""
        self._running.close()
