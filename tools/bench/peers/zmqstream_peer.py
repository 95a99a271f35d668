"""pyzmq's ZMQStream, measured: on a tornado loop on a thread of its own."""

import asyncio
from collections.abc import Callable

import zmq
from tornado.ioloop import IOLoop
from zmq.eventloop.zmqstream import ZMQStream

from tools.bench.peers.base import OnMessage
from tools.bench.peers.loop_thread import LoopThread
from tools.bench.peers.network import Network
from tools.bench.peers.pacing import pace_on_loop
from tools.bench.peers.pyzmq_peer import publishing_socket, subscribing_socket

_BURST = 1000
_BURST_BYTES = 1 << 22


class _Publisher:
    def __init__(self, thread: LoopThread, stream: ZMQStream) -> None:
        self._thread = thread
        self._stream = stream
        self.close = stream.close

    def send_all(self, message: bytes, count: int) -> None:
        self._thread.run(self._send_all(message, count))

    def pace(self, make: Callable[[], bytes], ticks: int, per_tick: int) -> None:
        self._thread.run(pace_on_loop(self._stream.send, make, ticks, per_tick))

    async def _send_all(self, message: bytes, count: int) -> None:
        send = self._stream.send
        burst = max(1, min(_BURST, _BURST_BYTES // len(message)))
        for sent in range(0, count, burst):
            for _ in range(min(burst, count - sent)):
                send(message)
            self._stream.flush(zmq.POLLOUT)
            await asyncio.sleep(0)


class Peer:
    """A context and the streams of its sockets."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._context = zmq.Context()
        self._thread = LoopThread()
        self._streams: list[ZMQStream] = []

    def publisher(self, topic: str) -> _Publisher:
        """Add the publisher: one topic is all there is."""
        del topic
        return _Publisher(self._thread, self._stream(publishing_socket))

    def subscriber(self, topic: str, on_message: OnMessage) -> ZMQStream:
        """Add a subscriber."""
        del topic
        stream = self._stream(subscribing_socket)
        self._thread.do(lambda: stream.on_recv(lambda frames: on_message(frames[0])))
        return stream

    def start(self) -> None:
        """Nothing: sockets take part from their making on."""

    def close(self) -> None:
        """Close the streams, the loop and the context."""
        for stream in self._streams:
            self._thread.do(stream.close)
        self._thread.close()
        self._context.term()

    def _stream(
        self, make: "Callable[[zmq.Context[zmq.Socket[bytes]], Network], zmq.Socket[bytes]]"
    ) -> ZMQStream:
        socket = make(self._context, self._network)
        stream = self._thread.do(lambda: ZMQStream(socket, IOLoop.current()))
        self._streams.append(stream)
        return stream
