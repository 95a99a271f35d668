"""The messages of a publisher for plain ZeroMQ subscribers: one frame each."""

import asyncio
from collections import Counter
from typing import Any

import zmq

from colugo.net.transport.socket_reader import SocketReader
from colugo.patterns.gate import Gate
from colugo.protocol.description.socket_descriptions import ReaderDescription

_NOBLOCK = int(zmq.NOBLOCK)


class RawWriter:
    """The writer for `framing="raw"`, on an XPUB that is set to `ZMQ_XPUB_VERBOSER`.

    Args:
        socket: the publisher's socket; the publisher closes it.
        gate: receives the number of filters that subscribers have set.

    Attributes:
        sequence: the number of messages sent.
        sent_bytes: the payload bytes sent.
        backpressure: None, because plain subscribers give no credit.
        behind: 0, because it is unknown of plain subscribers.
        dropped: 0, for the same reason.
    """

    behind = 0
    dropped = 0

    def __init__(self, socket: zmq.Socket[bytes], gate: Gate) -> None:
        self._socket = socket
        self._gate = gate
        self._filters: Counter[bytes] = Counter()
        self.sequence = 0
        self.sent_bytes = 0
        self.backpressure: None = None

    def describe_subscribers(self) -> list[ReaderDescription]:
        """Return nothing: plain subscribers are anonymous."""
        return []

    def open(self, loop: asyncio.AbstractEventLoop, reader: SocketReader) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""

    async def drain(self, patience_s: float, limit_s: float) -> int:
        """Return 0: plain subscribers acknowledge nothing."""
        del patience_s, limit_s
        return 0

    def take(self, frames: list[bytes]) -> None:
        """Take a subscription (`1` and a filter) or its cancellation (`0` and a filter)."""
        message = frames[0]
        if message[:1] in (b"\x00", b"\x01"):
            self._filters[message[1:]] += 1 if message[0] else -1
            self._gate.set(self._filters.total())

    def admit(self, size: int) -> tuple[int, int]:
        """Return the room of a batch: one message."""
        return size, 1

    def send(self, payloads: list[Any], size: int, *, text: bool) -> None:
        """Send each message as a frame."""
        del text
        for payload in payloads:
            self._socket.send(payload, _NOBLOCK)
        self.sequence += len(payloads)
        self.sent_bytes += size

    def count_replaced(self) -> None:
        """Count a message that a newer one has replaced before it was sent."""
        self.sequence += 1
