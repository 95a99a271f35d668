"""What leaves a publisher whose readers are plain ZeroMQ sockets: one frame a message."""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

import zmq

from colugo.protocol.description.socket_descriptions import ReaderDescription

_NOBLOCK = int(zmq.NOBLOCK)


class RawWriter:
    """The messages of one publisher on its XPUB socket, which is set to `ZMQ_XPUB_VERBOSER`.

    Args:
        socket: the publisher's; this object does not close it.
        on_readers: gets the number of filters that readers have set.

    Attributes:
        sequence: the number of the next message that goes out.
        sent_bytes: of the payloads that have gone out.
        flow: None: nobody can wait for plain readers.
        behind: 0: it is not known of plain readers.
        dropped: 0: nor is that.
    """

    behind = 0
    dropped = 0

    def __init__(self, socket: zmq.Socket[bytes], on_readers: Callable[[int], None]) -> None:
        self._socket = socket
        self._on_readers = on_readers
        self._filters: Counter[bytes] = Counter()
        self.sequence = 0
        self.sent_bytes = 0
        self.flow: None = None

    def describe_readers(self) -> list[ReaderDescription]:
        """Nothing is known of plain readers."""
        return []

    def open(self, loop: asyncio.AbstractEventLoop) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Nothing to do."""

    async def drain(self, patience: float, most: float) -> int:
        """Nothing to do: it is not known of plain readers."""
        del patience, most
        return 0

    def take(self, frames: list[bytes]) -> None:
        """Take a subscription, `1` and a filter, or its end, `0` and a filter."""
        message = frames[0]
        if message[:1] in (b"\x00", b"\x01"):
            self._filters[message[1:]] += 1 if message[0] else -1
            self._on_readers(self._filters.total())

    def admit(self, size: int) -> tuple[int, int]:
        """There is room for one message."""
        return size, 1

    def send(self, payloads: list[Any], size: int, *, text: bool) -> None:
        """Send messages, each as a frame."""
        del text
        for payload in payloads:
            self._socket.send(payload, _NOBLOCK)
        self.sequence += len(payloads)
        self.sent_bytes += size
