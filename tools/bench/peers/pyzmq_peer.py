"""pyzmq by itself, measured: blocking sockets, each receiving one with a loop on a thread."""

import threading
import time
from collections.abc import Callable

import zmq

from tools.bench.peers.base import REQUEST_TIMEOUT_S, OnMessage
from tools.bench.peers.network import Network
from tools.bench.peers.pacing import pace

HWM = 100_000


def publishing_socket(context: "zmq.Context[zmq.Socket[bytes]]", network: Network) -> "zmq.Socket[bytes]":
    """An XPUB that waits when a subscriber cannot take more, instead of dropping, bound or connected."""
    socket = context.socket(zmq.XPUB)
    socket.set(zmq.LINGER, 0)
    socket.set(zmq.SNDHWM, HWM)
    socket.set(zmq.XPUB_NODROP, 1)
    return attached(socket, network, hub=network.hub == "publisher")


def subscribing_socket(context: "zmq.Context[zmq.Socket[bytes]]", network: Network) -> "zmq.Socket[bytes]":
    """A SUB for everything, bound or connected."""
    socket = context.socket(zmq.SUB)
    socket.set(zmq.LINGER, 0)
    socket.set(zmq.SUBSCRIBE, b"")
    return attached(socket, network, hub=network.hub == "subscriber")


def attached(socket: "zmq.Socket[bytes]", network: Network, *, hub: bool) -> "zmq.Socket[bytes]":
    """Bind it as the hub, or connect it to the hub."""
    if hub:
        socket.bind(network.endpoint)
    else:
        socket.connect(network.endpoint)
    return socket


class _Publisher:
    def __init__(self, socket: "zmq.Socket[bytes]") -> None:
        self._socket = socket

    def send_all(self, message: bytes, count: int) -> None:
        send = self._socket.send
        for _ in range(count):
            send(message)

    def pace(self, make: Callable[[], bytes], ticks: int, per_tick: int) -> None:
        pace(self._socket.send, make, ticks, per_tick)

    def close(self) -> None:
        self._socket.close()


class _Receiver:
    """A thread that ends when the context is terminated."""

    def __init__(self, receive: Callable[[], None]) -> None:
        self._receive = receive
        threading.Thread(target=self._run, name="receive", daemon=True).start()

    def close(self) -> None:
        """Nothing: the peer's end is its end."""

    def _run(self) -> None:
        try:
            self._receive()
        except zmq.ContextTerminated:
            return


class _Client:
    def __init__(self, socket: "zmq.Socket[bytes]") -> None:
        self._socket = socket

    def one_by_one(self, message: bytes, on_reply: OnMessage, count: int) -> list[int]:
        times = []
        for _ in range(count):
            began = time.monotonic_ns()
            self._socket.send(message)
            reply = self._socket.recv()
            times.append(time.monotonic_ns() - began)
            on_reply(reply)
        return times

    def keep_in_flight(self, message: bytes, on_reply: OnMessage, count: int, in_flight: int) -> None:
        for _ in range(min(in_flight, count)):
            self._socket.send(message)
        for answered in range(count):
            try:
                on_reply(self._socket.recv())
            except zmq.Again:
                return
            if answered + in_flight < count:
                self._socket.send(message)


class Peer:
    """A context and its sockets."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._context = zmq.Context()
        self._sockets: list[zmq.Socket[bytes]] = []

    def publisher(self, topic: str) -> _Publisher:
        """Add the publisher: one topic is all there is."""
        del topic
        return _Publisher(self._keep(publishing_socket(self._context, self._network)))

    def subscriber(self, topic: str, on_message: OnMessage) -> _Receiver:
        """Add a subscriber."""
        del topic

        def receive() -> None:
            with subscribing_socket(self._context, self._network) as socket:
                take = socket.recv
                while True:
                    on_message(take())

        return _Receiver(receive)

    def server(self, topic: str) -> _Receiver:
        """Add a ROUTER that answers."""
        del topic

        def receive() -> None:
            # with the usual high-water mark, a ROUTER would drop replies
            socket = self._requesting_socket(zmq.ROUTER)
            with attached(socket, self._network, hub=True):
                while True:
                    socket.send_multipart(socket.recv_multipart())

        return _Receiver(receive)

    def client(self, topic: str) -> _Client:
        """Add a DEALER; its requests wait for the server by themselves."""
        del topic
        socket = self._requesting_socket(zmq.DEALER)
        socket.set(zmq.RCVTIMEO, REQUEST_TIMEOUT_S * 1000)
        return _Client(self._keep(attached(socket, self._network, hub=False)))

    def start(self) -> None:
        """Nothing: sockets take part from their making on."""

    def close(self) -> None:
        """Terminate the context, which ends the threads."""
        for socket in self._sockets:
            socket.close()
        self._context.term()

    def _requesting_socket(self, kind: zmq.SocketType) -> "zmq.Socket[bytes]":
        socket = self._context.socket(kind)
        socket.set(zmq.LINGER, 0)
        socket.set_hwm(HWM)
        return socket

    def _keep(self, socket: "zmq.Socket[bytes]") -> "zmq.Socket[bytes]":
        self._sockets.append(socket)
        return socket
