"""pyzmq's asyncio sockets, measured: on a loop on a thread of its own."""

from collections.abc import Callable

import zmq
import zmq.asyncio

from tools.bench.peers.base import OnMessage
from tools.bench.peers.loop_thread import LoopThread
from tools.bench.peers.network import Network
from tools.bench.peers.pacing import pace_on_loop
from tools.bench.peers.pyzmq_peer import publishing_socket, subscribing_socket


class _Publisher:
    def __init__(self, thread: LoopThread, socket: zmq.asyncio.Socket) -> None:
        self._thread = thread
        self._socket = socket

    def send_all(self, message: bytes, count: int) -> None:
        self._thread.run(self._send_all(message, count))

    def pace(self, make: Callable[[], bytes], ticks: int, per_tick: int) -> None:
        self._thread.run(pace_on_loop(self._socket.send, make, ticks, per_tick))

    def close(self) -> None:
        self._socket.close()

    async def _send_all(self, message: bytes, count: int) -> None:
        send = self._socket.send
        for _ in range(count):
            await send(message)


class _Receiver:
    def __init__(self, thread: LoopThread, socket: zmq.asyncio.Socket, on_message: OnMessage) -> None:
        self._socket = socket
        self._on_message = on_message
        self._task = thread.do(lambda: thread.loop.create_task(self._run()))

    def close(self) -> None:
        self._task.cancel()
        self._socket.close()

    async def _run(self) -> None:
        take, on_message = self._socket.recv, self._on_message
        while True:
            on_message(await take())


class Peer:
    """A context and its sockets."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._context = zmq.Context()
        self._thread = LoopThread()
        self._parts: list[_Publisher | _Receiver] = []

    def publisher(self, topic: str) -> _Publisher:
        """Add the publisher: one topic is all there is."""
        del topic
        socket = self._on_loop(publishing_socket(self._context, self._network))
        publisher = _Publisher(self._thread, socket)
        self._parts.append(publisher)
        return publisher

    def subscriber(self, topic: str, on_message: OnMessage) -> _Receiver:
        """Add a subscriber."""
        del topic
        socket = self._on_loop(subscribing_socket(self._context, self._network))
        receiver = _Receiver(self._thread, socket, on_message)
        self._parts.append(receiver)
        return receiver

    def start(self) -> None:
        """Nothing: sockets take part from their making on."""

    def close(self) -> None:
        """Close the sockets, the loop and the context."""
        for part in self._parts:
            self._thread.do(part.close)
        self._thread.close()
        self._context.term()

    def _on_loop(self, socket: "zmq.Socket[bytes]") -> zmq.asyncio.Socket:
        return self._thread.do(lambda: zmq.asyncio.Socket(shadow=socket))
