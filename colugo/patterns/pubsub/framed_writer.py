"""The stream of a publisher: batches in segments, for subscribers within their high-water marks."""

import asyncio
import time
from contextlib import suppress
from typing import Any

import zmq

from colugo.errors import FlowError
from colugo.net.runtime import Runtime
from colugo.net.transport.lending import Lending
from colugo.net.transport.socket_reader import SocketReader
from colugo.patterns.base import ThrottledWarnings
from colugo.patterns.gate import Gate
from colugo.patterns.pubsub.backpressure import Backpressure
from colugo.patterns.pubsub.beacon import Beacon
from colugo.patterns.pubsub.subscriber_credit import JoinedSubscriber, SubscriberCredits
from colugo.protocol.description.socket_descriptions import ReaderDescription
from colugo.protocol.frames import BATCH_BYTES, MAX_COUNT, FrameKind
from colugo.protocol.pubsub.credit import Segments
from colugo.protocol.pubsub.history import History
from colugo.protocol.pubsub.publications import (
    FLAG_ANSWER,
    FLAG_CONFLATE,
    FLAG_END,
    FLAG_LARGE,
    FLAG_TEXT,
    FLAG_WAIT,
    encode_publication,
    is_large,
)

_NOBLOCK = int(zmq.NOBLOCK)
_NOBLOCK_MORE = int(zmq.NOBLOCK | zmq.SNDMORE)

_LENT_FRACTION = 4


class FramedWriter:
    """The writer for colugo's framing, on an XPUB that is set to `ZMQ_XPUB_MANUAL`.

    Args:
        runtime: the node's runtime.
        topic: the topic, for warnings.
        socket: the publisher's socket, bound or not yet; the publisher closes it.
        publisher: the publisher's id.
        gate: receives the number of subscribers.
        hwm: messages that may wait for one subscriber.
        max_bytes: payload bytes that may wait for one subscriber.
        retain: messages for late joiners.
        stall_ms: milliseconds of patience with a stalled subscriber; None without backpressure.
        conflate: True if only the newest message counts.

    Attributes:
        sequence: the sequence number of the next message.
        sent_bytes: the payload bytes sent.
        gathering: True from the admission of a batch that begins a segment until it is sent.
        backpressure: the senders that wait for subscribers; None with `flow="drop"`.
    """

    def __init__(
        self,
        runtime: Runtime,
        topic: str,
        socket: zmq.Socket[bytes],
        publisher: bytes,
        *,
        gate: Gate,
        hwm: int,
        max_bytes: int,
        retain: int,
        stall_ms: int | None,
        conflate: bool,
    ) -> None:
        self._topic = topic
        self._socket = socket
        self._publisher = publisher
        self._flags = (FLAG_WAIT if stall_ms is not None else 0) | (FLAG_CONFLATE if conflate else 0)
        self._gate = gate
        self._stall_ms = stall_ms
        self._warnings = ThrottledWarnings(runtime)
        self._retains = retain > 0 or conflate
        self._history = History(publisher, retain, conflate=conflate)
        self._segments = Segments(1 if conflate else hwm, max_bytes)
        self._lending = Lending(max_bytes // _LENT_FRACTION)
        self._wanted = 0
        self._progressed = asyncio.Event()
        self._beacon: Beacon | None = None
        self._reader: SocketReader | None = None
        self._table = SubscriberCredits(
            socket, publisher, self._segments, self._history, listener=self, conflate=conflate
        )
        self.sequence = 0
        self.sent_bytes = 0
        self.gathering = False
        self.backpressure: Backpressure[JoinedSubscriber] | None = None
        if stall_ms is not None:
            self.backpressure = Backpressure(self, stall_ms)

    @property
    def subscribers(self) -> int:
        """The number of connected subscribers."""
        return len(self._table)

    @property
    def behind(self) -> int:
        """The number of subscribers that are too far behind to be sent anything."""
        return self._table.behind

    @property
    def dropped(self) -> int:
        """Messages that were not sent to subscribers that were behind."""
        return self._table.dropped

    def describe_subscribers(self) -> list[ReaderDescription]:
        """Return the descriptions of the subscribers for introspection."""
        return self._table.describe()

    def open(self, loop: asyncio.AbstractEventLoop, reader: SocketReader) -> None:
        """Begin to send beacons.

        Args:
            loop: the running loop.
            reader: the reader of the socket. A send may consume the signal of its descriptor, so the reader
                is kicked after each send that is not at the end of a turn of the loop. Otherwise, an
                acknowledgement or disconnection would go unnoticed until the next event.
        """
        self._reader = reader
        self._beacon = Beacon(loop, self)

    def close(self) -> None:
        """Tell all subscribers where the stream has ended."""
        if self._beacon is not None:
            self._beacon.stop()
            self._table.send_newest()
            if self.sequence:
                self._send_beacon(self.sequence)
        if self.backpressure is not None:
            self.backpressure.close()

    async def drain(self, patience_s: float, limit_s: float) -> int:
        """Wait until all subscribers that keep up have acknowledged everything.

        Args:
            patience_s: seconds to wait while none of them makes progress.
            limit_s: seconds to wait in total.

        Returns:
            The number of subscribers that have not.
        """
        if self._segments.started:
            self._end_segment()
            self._kick()
        end = self._segments.number
        until = time.monotonic() + limit_s
        with suppress(TimeoutError):
            while self._table.owing(end):
                self._progressed.clear()
                async with asyncio.timeout(min(patience_s, until - time.monotonic())):
                    await self._progressed.wait()
        return self._table.owing(end)

    def take(self, frames: list[bytes]) -> None:
        """Take a message of a subscriber that has just been read from the socket."""
        self._table.take(frames[0])

    def admit(self, size: int) -> tuple[int, int]:
        """Make room for a batch.

        Args:
            size: bytes of its first message.

        Returns:
            The bytes that the batch may have, and the messages. A larger message is a batch of its own.

        Raises:
            FlowError: with backpressure, if a subscriber has no credit.
        """
        segments = self._segments
        if segments.started and size > segments.room_bytes:
            self._end_segment()
        if not segments.started:
            self._begin_segment(size)
            self.gathering = True
        return min(BATCH_BYTES, segments.room_bytes), min(segments.room, MAX_COUNT)

    def send(self, payloads: list[Any], size: int, *, text: bool) -> None:
        """Send a batch that has been admitted.

        Args:
            payloads: the payloads of its messages.
            size: bytes of all payloads.
            text: True if they are UTF-8 text.
        """
        placement = self._segments.place(len(payloads), size)
        self.gathering = False
        flags = self._flags | (FLAG_TEXT if text else 0) | (FLAG_END if placement.end else 0)
        now = time.time_ns()
        large = is_large(payloads[0])
        frame = encode_publication(
            self._publisher,
            self.sequence,
            now,
            payloads,
            flags=flags | FLAG_LARGE if large else flags,
            segment=placement.segment,
        )
        if large:
            self._socket.send(frame, _NOBLOCK_MORE)
            self._lending.send(self._socket, payloads[0])
        else:
            self._socket.send(frame, _NOBLOCK)
        if self._retains:
            self._history.add(self.sequence, payloads, flags, now)
        self.sequence += len(payloads)
        self.sent_bytes += size
        if self._beacon is not None and self._beacon.idle:
            self._beacon.start()

    def count_replaced(self) -> None:
        """Count a message that a newer one has replaced before it was sent."""
        self.sequence += 1

    def send_beacon(self) -> None:
        """Tell all subscribers the position in the stream."""
        # one that is behind a publisher that conflates still receives the newest message
        self._send_beacon(self.sequence - 1 if self._flags & FLAG_CONFLATE else self.sequence)

    def blocking(self) -> list[JoinedSubscriber]:
        """Return the subscribers without credit for the next batch."""
        return self._table.lacking(self._wanted)

    def cut_off(self, subscriber: JoinedSubscriber) -> None:
        """Leave a stalled subscriber behind, and log it."""
        self._table.cut_off(subscriber)
        self._kick()
        self._warnings.warn(
            "cut",
            f"the publisher of {self._topic} no longer waits for a subscriber that held up the others",
            FlowError(f"no acknowledgement within {self._stall_ms} ms"),
        )

    def on_progress(self) -> None:
        """Update the gate, and release senders that wait for subscribers."""
        self._progressed.set()
        self._gate.set(len(self._table))
        if self.backpressure is not None:
            self.backpressure.update()

    def _begin_segment(self, size: int) -> None:
        if not self._table.read():
            self._kick()
        segments = self._segments
        self._wanted = segments.number + segments.span(size) - 1
        lacking = self._table.lacking(self._wanted)
        if not lacking:
            return
        if self.backpressure is not None:
            self.backpressure.shut_off()
            raise FlowError(
                f"{len(lacking)} subscribers are too far behind; await send_wait(…) to wait for them"
            )
        for subscriber in lacking:
            self._table.skip(subscriber)

    def _end_segment(self) -> None:
        """Announce the end of a segment into which the next message does not fit."""
        frame = encode_publication(
            self._publisher,
            self.sequence,
            time.time_ns(),
            [],
            kind=FrameKind.BEACON,
            flags=FLAG_END,
            segment=self._segments.end(),
        )
        self._socket.send(frame, _NOBLOCK)

    def _send_beacon(self, expected: int) -> None:
        asks = self._table.behind > 0 or (self.backpressure is not None and self.backpressure.shut)
        frame = encode_publication(
            self._publisher,
            expected,
            time.time_ns(),
            [],
            kind=FrameKind.BEACON,
            flags=(self._flags & FLAG_CONFLATE) | (FLAG_ANSWER if asks else 0),
        )
        self._socket.send(frame, _NOBLOCK)
        self._kick()

    def _kick(self) -> None:
        if self._reader is not None:
            self._reader.kick()
