"""What a publisher knows of its readers: who has joined, and how far each may be sent."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import zmq

from colugo.protocol.description.socket_descriptions import ReaderDescription
from colugo.protocol.frames import FrameKind
from colugo.protocol.pubsub.credit import Credit, Segments
from colugo.protocol.pubsub.history import History
from colugo.protocol.pubsub.publications import (
    ALL_READERS,
    FLAG_CONFLATE,
    JOIN_BYTES,
    READER_PREFIX,
    SegmentAck,
    decode_ack,
    encode_publication,
    live_prefix,
)

_POLLIN = int(zmq.POLLIN)
_READ_AT_ONCE = 1000
_SUBSCRIPTIONS = (b"\x00", b"\x01")
_MOST_CONNECTIONS = 3
"""One that asks to join again and again on the same connection gets no more welcomes than that."""


@dataclass(eq=False, slots=True)
class Reader:
    """One reader.

    Attributes:
        prefix: what frames for it alone begin with.
        connections: how many it has: for a moment two, when it has just come back.
        grant: what it may be sent.
        skipped_from: the first sequence number that it was not sent, while it is behind.
        progress: when it last said that it has handled something, seconds of `time.monotonic`.
    """

    prefix: bytes
    connections: int
    grant: Credit
    skipped_from: int = 0
    progress: float = 0.0


class Readers:
    """The readers of one publisher, on its XPUB socket with `ZMQ_XPUB_MANUAL`.

    With that option, a subscription that is made here is one of the reader whose message was read last.

    Args:
        socket: the publisher's.
        publisher: its id.
        segments: where it is in its stream.
        sequence: gives the number of the next message.
        history: with what a new reader begins.
        on_progress: called when readers have come, gone, or handled something.
        conflate: whether a reader that was behind goes on with the newest message.
    """

    def __init__(
        self,
        socket: zmq.Socket[bytes],
        publisher: bytes,
        segments: Segments,
        *,
        sequence: Callable[[], int],
        history: History,
        on_progress: Callable[[], None],
        conflate: bool = False,
    ) -> None:
        self._socket = socket
        self._publisher = publisher
        self._segments = segments
        self._sequence = sequence
        self._history = history
        self._on_progress = on_progress
        self._conflate = conflate
        self._readers: dict[bytes, Reader] = {}
        self._unsure = False
        self.dropped = 0
        """Messages that readers which were behind have not been sent."""
        self.admitted = False
        """Whether what goes into the segment waits for the end of the loop's turn."""

    def __len__(self) -> int:
        return len(self._readers)

    @property
    def behind(self) -> int:
        """How many are too far behind to be sent anything now."""
        return sum(reader.grant.behind for reader in self._readers.values())

    def describe(self) -> list[ReaderDescription]:
        """What the node says of them."""
        now = time.monotonic()
        return [
            ReaderDescription(
                reader=reader.prefix[len(READER_PREFIX) :].hex(),
                behind=reader.grant.behind,
                skipped=self._sequence() - reader.skipped_from if reader.grant.behind else 0,
                unhandled=max(0, min(self._segments.number, reader.grant.end) - reader.grant.begin),
                quiet_ms=round((now - reader.progress) * 1000),
            )
            for reader in self._readers.values()
        ]

    def read(self) -> bool:
        """Take in what readers have said; whether that was all: a flood is left to the loop's own reading."""
        socket = self._socket
        for _ in range(_READ_AT_ONCE):
            if not int(socket.get(zmq.EVENTS)) & _POLLIN:
                return True
            self.take(socket.recv(zmq.NOBLOCK))
        return False

    def take(self, message: bytes) -> None:
        """Take in a message that has just been read from the socket."""
        joins = len(message) == JOIN_BYTES and message[1:2] == READER_PREFIX
        if joins and message[0] == 0:
            self._leave(message[1:])
        if message[:1] not in _SUBSCRIPTIONS or self._unsure:
            self._doubt()
            return
        if joins:
            if message[0] == 1:
                self._join(message[1:])
            return
        ack = decode_ack(message)
        if ack is None or ack.publisher != self._publisher:
            return  # a plain ZeroMQ SUB, which could not read our frames; or it is for another publisher
        reader = self._readers.get(READER_PREFIX + ack.reader)
        if reader is not None:
            self._handled(reader, ack)

    def _doubt(self) -> None:
        """A message that is no subscription shifts what ZeroMQ takes for the connection of those behind it.

        Nothing is done for any of them, until none is left; who has asked to join in vain asks again.
        """
        self._unsure = bool(int(self._socket.get(zmq.EVENTS)) & _POLLIN)

    def lacking(self, segment: int) -> list[Reader]:
        """Those that keep up and have not been granted a segment."""
        return [
            reader
            for reader in self._readers.values()
            if reader.grant.end <= segment and not reader.grant.behind
        ]

    def unhandled(self, segment: int) -> int:
        """How many keep up, and have not handled everything before this segment."""
        return sum(
            reader.grant.begin < segment and not reader.grant.behind for reader in self._readers.values()
        )

    def skip(self, reader: Reader) -> None:
        """Let a reader fall behind: it is sent nothing until it has handled what it was sent."""
        reader.grant.skip(self._segments.number - 1)
        reader.skipped_from = self._sequence()

    def cut_off(self, reader: Reader) -> None:
        """The same, because it holds up the others; it is told."""
        self.skip(reader)
        frame = encode_publication(self._publisher, self._sequence(), time.time_ns(), [], kind=FrameKind.CUT)
        self._socket.send(reader.prefix + frame, zmq.NOBLOCK)

    def send_newest(self) -> None:
        """There will be no more: those that are behind get the newest message, if it replaces all."""
        if self._conflate:
            for reader in self._readers.values():
                if reader.grant.behind:
                    self._send_to(reader.prefix, self._history.newest(self._segments.number - 1))

    def _join(self, prefix: bytes) -> None:
        """Tell a reader where the stream is, and let it read from there."""
        socket = self._socket
        now = time.time_ns()
        before = self._readers.get(prefix)
        if before is not None and before.connections >= _MOST_CONNECTIONS:
            return
        self._close_gap(before)
        first = self._history.first(self._sequence())
        flags = FLAG_CONFLATE if self._conflate else 0
        grant = Credit(self._segments.number, self._segments.number + self._segments.width)
        connections = before.connections + 1 if before else 1
        self._readers[prefix] = Reader(prefix, connections, grant, progress=time.monotonic())
        # all of them before anything is sent: sending takes in that another reader has gone, and from then on
        # ZeroMQ does not know any more whose message was read last, and ignores this without a word
        for wanted in (prefix, live_prefix(ALL_READERS)):
            socket.set(zmq.SUBSCRIBE, wanted)
        self._subscribe(grant.begin, grant.end)
        welcome = encode_publication(self._publisher, first, now, [], kind=FrameKind.WELCOME, flags=flags)
        socket.send(prefix + welcome, zmq.NOBLOCK)
        for frames in self._history.frames():
            self._send_to(prefix, frames)
        self._on_progress()

    def _leave(self, prefix: bytes) -> None:
        reader = self._readers.get(prefix)
        if reader is None:
            return
        reader.connections -= 1
        if reader.connections <= 0:
            self._close_gap(reader)
            del self._readers[prefix]
        self._on_progress()

    def _handled(self, reader: Reader, ack: SegmentAck) -> None:
        reader.progress = time.monotonic()
        grant = reader.grant
        number = grant.handled(ack.segment)
        # that it has handled all which it was sent before it fell behind, and not just before it was asked
        if number is None or (ack.segment == ALL_READERS and ack.expected < reader.skipped_from):
            pass
        elif grant.last is None:
            self._move(reader, number + 1, number + 1 + self._segments.width)
        elif number >= grant.last:
            self._resume(reader)
        self._on_progress()

    def _resume(self, reader: Reader) -> None:
        """It has handled all that it was sent: it goes on with what comes now."""
        self._close_gap(reader)
        number = self._segments.number
        if not self._conflate or self.admitted:
            self._move(reader, number, number + self._segments.width)
            return
        # what it has not been sent is the newest message, which it has to handle before the next
        self._move(reader, number - 1, number)
        self._send_to(reader.prefix, self._history.newest(number - 1))

    def _move(self, reader: Reader, begin: int, end: int) -> None:
        grant = reader.grant
        for segment in range(grant.begin, min(begin, grant.end)):
            self._socket.set(zmq.UNSUBSCRIBE, live_prefix(segment))
        self._subscribe(max(begin, grant.end), end)
        reader.grant = Credit(begin, end)

    def _send_to(self, prefix: bytes, frames: list[bytes]) -> None:
        self._socket.send_multipart([prefix + frames[0], *frames[1:]], zmq.NOBLOCK)

    def _subscribe(self, begin: int, end: int) -> None:
        for segment in range(begin, end):
            self._socket.set(zmq.SUBSCRIBE, live_prefix(segment))

    def _close_gap(self, reader: Reader | None) -> None:
        if reader is not None and reader.grant.behind and not self._conflate:
            self.dropped += self._sequence() - reader.skipped_from
