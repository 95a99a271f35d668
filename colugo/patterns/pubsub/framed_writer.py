"""What leaves a publisher: batches in segments, for readers within their marks."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import zmq

from colugo.errors import FlowError
from colugo.net.transport.lending import Lending
from colugo.patterns.pubsub.backpressure import Backpressure
from colugo.patterns.pubsub.beacon import Beacon
from colugo.patterns.pubsub.readers import Reader, Readers
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
    """The stream of one publisher on its XPUB socket, which is set to `ZMQ_XPUB_MANUAL`.

    Args:
        socket: the publisher's, bound or not yet; this object does not close it.
        publisher: its id.
        hwm: messages that may wait for one reader.
        max_bytes: bytes of payloads that may wait for one reader.
        retain: messages for late joiners.
        stall_ms: patience with a reader for which the others wait; None if nobody waits.
        conflate: whether only the newest message counts.
        on_readers: gets the number of readers when it may have changed.
        on_cut: called when a reader is left behind for which the others have waited too long.
        look: has the socket looked at in the next turn of the loop. It is called where something is sent
            that is not of the turn's batch: sending may have consumed the signal of the descriptor, and
            then what a reader has said, or that it has gone, is not heard of before something else happens.

    Attributes:
        sequence: the number of the next message that goes out.
        sent_bytes: of the payloads that have gone out.
        flow: those who wait for readers; None if nobody does.
    """

    def __init__(
        self,
        socket: zmq.Socket[bytes],
        publisher: bytes,
        *,
        hwm: int,
        max_bytes: int,
        retain: int,
        stall_ms: int | None,
        conflate: bool,
        on_readers: Callable[[int], None],
        on_cut: Callable[[], None],
        look: Callable[[], None],
    ) -> None:
        self._socket = socket
        self._publisher = publisher
        self._flags = (FLAG_WAIT if stall_ms is not None else 0) | (FLAG_CONFLATE if conflate else 0)
        self._on_readers = on_readers
        self._on_cut = on_cut
        self._look = look
        self._retains = retain > 0 or conflate
        self._history = History(publisher, retain, conflate=conflate)
        self._segments = Segments(1 if conflate else hwm, max_bytes)
        self._lending = Lending(max_bytes // _LENT_FRACTION)
        self._wanted = 0
        self._progressed = asyncio.Event()
        self._beacon: Beacon | None = None
        self._readers = Readers(
            socket,
            publisher,
            self._segments,
            sequence=lambda: self.sequence,
            history=self._history,
            on_progress=self._progress,
            conflate=conflate,
        )
        self.sequence = 0
        self.sent_bytes = 0
        self.flow: Backpressure[Reader] | None = None
        if stall_ms is not None:
            self.flow = Backpressure(lambda: self._readers.lacking(self._wanted), self._cut_off, stall_ms)

    @property
    def behind(self) -> int:
        """How many readers are too far behind to be sent anything now."""
        return self._readers.behind

    @property
    def dropped(self) -> int:
        """Messages that readers which were behind have not been sent."""
        return self._readers.dropped

    def describe_readers(self) -> list[ReaderDescription]:
        """What the node says of its readers."""
        return self._readers.describe()

    def open(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to send beacons."""
        self._beacon = Beacon(
            loop,
            sequence=lambda: self.sequence,
            wanted=lambda: len(self._readers) > 0,
            urgent=lambda: self._readers.behind > 0,
            send=self._send_beacon,
        )

    def close(self) -> None:
        """Tell all readers where the stream has ended."""
        if self._beacon is not None:
            self._beacon.stop()
            self._readers.send_newest()
            if self.sequence:
                self._send_beacon(last=True)
        if self.flow is not None:
            self.flow.close()

    async def drain(self, patience: float, most: float) -> int:
        """Wait until all readers that are not behind have handled everything.

        Args:
            patience: seconds to wait while none of them gets on.
            most: seconds to wait in all.

        Returns:
            How many have not.
        """
        if self._segments.started:
            self._end_segment()
            self._look()
        end = self._segments.number
        until = time.monotonic() + most
        with suppress(TimeoutError):
            while self._readers.unhandled(end):
                self._progressed.clear()
                async with asyncio.timeout(min(patience, until - time.monotonic())):
                    await self._progressed.wait()
        return self._readers.unhandled(end)

    def take(self, frames: list[bytes]) -> None:
        """Take in what a reader has said, just read from the socket."""
        self._readers.take(frames[0])

    def admit(self, size: int) -> tuple[int, int]:
        """Make room for a batch.

        Args:
            size: of its first message, bytes.

        Returns:
            How many bytes the batch may have, and how many messages. A message that has more than these
            bytes goes alone.

        Raises:
            FlowError: if a reader for which all wait cannot take it.
        """
        segments = self._segments
        if segments.started and size > segments.room_bytes:
            self._end_segment()
        if not segments.started:
            self._begin_segment(size)
            self._readers.admitted = True
        return min(BATCH_BYTES, segments.room_bytes), min(segments.room, MAX_COUNT)

    def send(self, payloads: list[Any], size: int, *, text: bool) -> None:
        """Send a batch that has been admitted.

        Args:
            payloads: of its messages.
            size: of all of them, bytes.
            text: whether they are UTF-8 text.
        """
        place = self._segments.place(len(payloads), size)
        self._readers.admitted = False
        flags = self._flags | (FLAG_TEXT if text else 0) | (FLAG_END if place.end else 0)
        now = time.time_ns()
        large = is_large(payloads[0])
        frame = encode_publication(
            self._publisher,
            self.sequence,
            now,
            payloads,
            flags=flags | FLAG_LARGE if large else flags,
            segment=place.segment,
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

    def _begin_segment(self, size: int) -> None:
        if not self._readers.read():
            self._look()
        segments = self._segments
        self._wanted = segments.number + segments.span(size) - 1
        lacking = self._readers.lacking(self._wanted)
        if not lacking:
            return
        if self.flow is not None:
            self.flow.shut_off()
            raise FlowError(f"{len(lacking)} readers are too far behind; await send_wait(…) to wait for them")
        for reader in lacking:
            self._readers.skip(reader)

    def _end_segment(self) -> None:
        """What comes next does not fit in: say so to those who read it."""
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

    def _send_beacon(self, *, last: bool = False) -> None:
        asks = self._readers.behind > 0 or (self.flow is not None and self.flow.shut)
        # who is behind a publisher that conflates gets the newest message yet, but not from one that closes
        expected = self.sequence - 1 if self._flags & FLAG_CONFLATE and not last else self.sequence
        frame = encode_publication(
            self._publisher,
            expected,
            time.time_ns(),
            [],
            kind=FrameKind.BEACON,
            flags=(self._flags & FLAG_CONFLATE) | (FLAG_ANSWER if asks else 0),
        )
        self._socket.send(frame, _NOBLOCK)
        self._look()

    def _cut_off(self, reader: Reader) -> None:
        self._readers.cut_off(reader)
        self._look()
        self._on_cut()

    def _progress(self) -> None:
        self._progressed.set()
        self._on_readers(len(self._readers))
        if self.flow is not None:
            self.flow.look()
