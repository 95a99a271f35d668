"""The publishing side of publish/subscribe."""

import os
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any

import zmq

from colugo.errors import ConfigurationError
from colugo.net.reader import SocketReader
from colugo.net.runtime import Runtime
from colugo.net.sockets import bind
from colugo.patterns.base import Part, check_count, check_size
from colugo.patterns.gate import Gate
from colugo.protocol.advertisement import Framing, Kind, endpoint
from colugo.protocol.codecs import resolve_codec
from colugo.protocol.frames import ID_BYTES, LIVE_PREFIX, READER_PREFIX, encode_publication
from colugo.protocol.frames import Kind as FrameKind
from colugo.protocol.topics import check_topic

DEFAULT_HWM = 10_000
_READER_BYTES = 1 + len(READER_PREFIX) + ID_BYTES


@dataclass(frozen=True, slots=True)
class PublisherStats:
    """What a publisher has done.

    Attributes:
        sent: messages.
        sent_bytes: bytes of their payloads.
        subscribers: readers that are connected now.
    """

    sent: int
    sent_bytes: int
    subscribers: int


class Publisher(Part):
    """Sends messages to all subscribers of a topic; made by `Node.add_publisher`."""

    def __init__(
        self,
        runtime: Runtime,
        topic: str,
        *,
        codec: Any = None,
        framing: str = "colugo",
        port: int | None = None,
        hwm: int = DEFAULT_HWM,
    ) -> None:
        self.topic = check_topic(topic)
        self._codec = resolve_codec(codec)
        self._framing = check_framing(framing)
        super().__init__(runtime)
        self._limit = runtime.sockets.max_message_bytes
        self._id = os.urandom(ID_BYTES)
        self._readers: Counter[bytes] = Counter()
        self._gate = Gate(f"the publisher of {topic}")
        self._reader: SocketReader | None = None
        self._sequence = 0
        self._sent_bytes = 0
        self._socket = runtime.sockets.xpub(check_count("hwm", hwm))
        self._socket.set(zmq.XPUB_MANUAL if self._framing is Framing.COLUGO else zmq.XPUB_VERBOSER, 1)
        try:
            self._port = bind(self._socket, runtime.scope.addresses, port)
        except BaseException:
            self._socket.close()
            raise
        self._ipc = runtime.ipc.bind(self._socket, self._id)
        self._advertisement = runtime.advertisement(
            Kind.PUBLISHER,
            topic,
            self._port,
            codec=self._codec.name,
            framing=self._framing,
            socket_id=self._id,
        )
        runtime.when_open(self._open)
        runtime.advertise(self._advertisement)

    @property
    def endpoints(self) -> list[str]:
        """Where it is bound, for peers that are given one instead of discovering it: tcp, then ipc."""
        return [endpoint(address, self._port) for address in self._runtime.scope.addresses] + self._ipc

    @property
    def subscribers(self) -> int:
        """How many subscribers are connected (plain ZeroMQ ones: how many filters they have set)."""
        return self._gate.count

    @property
    def stats(self) -> PublisherStats:
        """Counters so far."""
        return PublisherStats(self._sequence, self._sent_bytes, self.subscribers)

    async def ready(self, n: int = 1) -> None:
        """Return when n subscribers are connected: what is sent from then on goes to them.

        Args:
            n: how many.

        Raises:
            ClosedError: if the node stops meanwhile.
            LifecycleError: on another thread than the node's; there, use `node.run(…)`.
        """
        self._check_thread()
        await self._gate.wait(n)

    def send(self, message: Any) -> None:
        """Send to all that are connected; never blocks. May be called from any thread.

        A reader that is `hwm` messages behind loses those that come then (`ZMQ_SNDHWM`).

        Args:
            message: str, bytes, or what the codec takes.

        Raises:
            EncodeError: if the codec cannot take it.
            MessageTooLargeError: if it has more than the node's `max_message_bytes`.
            ClosedError: after the node has stopped.
        """
        self._check_open()
        payload, text = self._codec.pack(message)
        check_size(payload, self._limit)
        self._runtime.submit(self._send, payload, text)

    def _shut(self) -> None:
        """Withdraw and close; what was sent still leaves, for half a second at most."""
        self._runtime.withdraw(self._advertisement)
        self._runtime.ipc.remove(self._ipc)
        self._gate.close()
        if self._reader is not None:
            self._reader.close()
        self._socket.close()

    def _open(self) -> None:
        if not self._closed:
            self._reader = SocketReader(self._runtime.loop, self._socket, self._upstream)

    def _send(self, payload: bytes, text: bool) -> None:  # noqa: FBT001 - handed over by submit
        if self._closed:
            return
        if self._framing is Framing.COLUGO:
            frame = encode_publication(self._id, self._sequence, time.time_ns(), [payload], text=text)
        else:
            frame = payload
        self._socket.send(frame, zmq.NOBLOCK)
        self._sequence += 1
        self._sent_bytes += len(payload)
        if self._reader is not None:
            self._reader.kick()

    def _upstream(self, frames: list[bytes]) -> None:
        """Take a subscription: `1` and a filter, or its end: `0` and a filter."""
        message = frames[0]
        joined = message[:1] == b"\x01"
        if self._framing is Framing.COLUGO:
            if len(message) != _READER_BYTES or message[1:2] != READER_PREFIX or message[0] > 1:
                return  # a plain ZeroMQ SUB, which could not read our frames
            if joined:
                self._welcome(message[1:])
        elif message[:1] not in (b"\x00", b"\x01"):
            return
        reader = message[1:]
        self._readers[reader] += 1 if joined else -1
        if self._readers[reader] <= 0:
            del self._readers[reader]
        # one of ours that has just reconnected may have its old connection still: it is one reader
        ours = self._framing is Framing.COLUGO
        self._gate.set(len(self._readers) if ours else self._readers.total())

    def _welcome(self, reader: bytes) -> None:
        """Tell a reader where the stream is, and let it read from there.

        With `ZMQ_XPUB_MANUAL`, subscribing here applies to the reader whose message was read last.
        """
        socket = self._socket
        socket.set(zmq.SUBSCRIBE, reader)
        welcome = encode_publication(
            self._id, self._sequence, time.time_ns(), [], text=False, kind=FrameKind.WELCOME
        )
        socket.send(reader + welcome, zmq.NOBLOCK)
        socket.set(zmq.SUBSCRIBE, LIVE_PREFIX)


def check_framing(framing: str) -> Framing:
    """Return the framing of that name.

    Raises:
        ConfigurationError: if there is none.
    """
    try:
        return Framing(framing)
    except ValueError:
        raise ConfigurationError(f'framing is "colugo" or "raw", not {framing!r}') from None
