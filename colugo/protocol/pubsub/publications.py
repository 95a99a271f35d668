"""Frames of publish/subscribe: batches of messages, and what publisher and reader say of the stream."""

import struct
from typing import Any, NamedTuple

from colugo.errors import FrameError
from colugo.protocol.frames import (
    ID_BYTES,
    LARGE_BYTES,
    MAGIC,
    VERSION,
    FrameKind,
    check_count,
    check_end,
    check_header,
    cut,
)

READER_PREFIX = b"@"
"""A reader subscribes to this and its id; what is for it alone begins with the same."""
ACK_PREFIX = b"+"
ALL_READERS = 2**64 - 1
"""What stands for the segment in frames that go to all readers, however far behind.

The numbers of segments are below it, and so large that none comes again: a reader that has stalled stays
subscribed to the segments it was granted, and would be sent what came under their numbers later.
"""
NO_SEGMENT = ALL_READERS - 1
"""What a reader acknowledges that is getting on with a segment."""

FLAG_TEXT = 1
FLAG_LARGE = 2
FLAG_END = 4
FLAG_WAIT = 8
FLAG_CONFLATE = 16
FLAG_ANSWER = 32
_DATA_FLAGS = FLAG_TEXT | FLAG_LARGE | FLAG_END | FLAG_WAIT | FLAG_CONFLATE
_FLAGS = {
    FrameKind.DATA: _DATA_FLAGS,
    FrameKind.RETAINED: _DATA_FLAGS,
    FrameKind.WELCOME: FLAG_CONFLATE,
    FrameKind.BEACON: FLAG_END | FLAG_ANSWER | FLAG_CONFLATE,
    FrameKind.CUT: 0,
}
_WITH_PAYLOADS = (FrameKind.DATA, FrameKind.RETAINED)

# The segment is the one number with the high bytes first: so what readers are subscribed to begins alike,
# which ZeroMQ keeps once.
_HEADER = struct.Struct("<B8sBBB8sQQI")
_ONE = struct.Struct("<B8sBBB8sQQII")
_ACK = struct.Struct("<8s8sQ8s")
_SEGMENT_BYTES = 8
_MAGIC_BYTE = bytes([MAGIC])
_ACK_BYTES = 1 + len(ACK_PREFIX) + _ACK.size
JOIN_BYTES = 1 + len(READER_PREFIX) + ID_BYTES


class Publication(NamedTuple):
    """A decoded frame of a publisher, whose lengths have been checked.

    Attributes:
        kind: a `FrameKind`: DATA, RETAINED, WELCOME, BEACON or CUT. Only the first two have payloads.
        flags: FLAG_TEXT (UTF-8 payloads), FLAG_LARGE (the payload is a frame of its own), FLAG_END
            (the last frame of its segment), FLAG_WAIT (the publisher waits for its readers),
            FLAG_CONFLATE (only the newest message counts), FLAG_ANSWER (readers are to say how far they
            are).
        segment: its number, or ALL_READERS.
        publisher: the publisher's id, 8 bytes.
        first_sequence: the sequence number of the first message; of a frame without payloads: of the
            next one.
        sent_ns: when it was sent, nanoseconds since 1970.
        lengths: of the payloads.
        body: what has the payloads: a received frame.
        start: where in it the first begins.
    """

    kind: int
    flags: int
    segment: int
    publisher: bytes
    first_sequence: int
    sent_ns: int
    lengths: tuple[int, ...]
    body: Any
    start: int

    @property
    def text(self) -> bool:
        """Whether the payloads are UTF-8 text."""
        return bool(self.flags & FLAG_TEXT)

    def payloads(self) -> list[Any]:
        """The payloads: bytes, or memoryviews if it was received as one."""
        if self.start == 0:
            return [self.body]
        return cut(self.body, self.start, self.lengths)

    def texts(self) -> list[str] | None:
        """The payloads as text, if all of it is ASCII; else None: each is to be decoded by itself."""
        try:
            return cut(str(memoryview(self.body)[self.start :], "ascii"), 0, self.lengths)
        except UnicodeDecodeError:
            return None


def encode_publication(
    publisher: bytes,
    first_sequence: int,
    sent_ns: int,
    payloads: list[Any],
    *,
    kind: int = FrameKind.DATA,
    flags: int = 0,
    segment: int = ALL_READERS,
) -> bytes:
    """Build a frame; with FLAG_LARGE its one payload is left out, to follow as a frame of its own.

    Args:
        publisher: the id, 8 bytes.
        first_sequence: number of the first message, or of the next one if there is none here.
        sent_ns: nanoseconds since 1970.
        payloads: bytes-like; none for WELCOME, BEACON and CUT.
        kind: a `FrameKind`.
        flags: FLAG_….
        segment: its number, or ALL_READERS.
    """
    count = len(payloads)
    number = segment.to_bytes(_SEGMENT_BYTES)
    if count == 1:
        size = len(payloads[0])
        header = _ONE.pack(MAGIC, number, VERSION, kind, flags, publisher, first_sequence, sent_ns, 1, size)
        return header if flags & FLAG_LARGE else header + payloads[0]
    header = _HEADER.pack(MAGIC, number, VERSION, kind, flags, publisher, first_sequence, sent_ns, count)
    return b"".join([header, struct.pack(f"<{count}I", *map(len, payloads)), *payloads])


def decode_publication(frame: bytes | memoryview, start: int = 0, large: Any = None) -> Publication:
    """Read a frame.

    Args:
        frame: the received bytes.
        start: where the header begins: after the reader's prefix in a frame for one reader.
        large: the frame that followed it, bytes-like; None if there was none.

    Raises:
        FrameError: if it is anything else, or of another version.
    """
    try:
        magic, number, version, kind, flags, publisher, first, sent_ns, count = _HEADER.unpack_from(
            frame, start
        )
    except struct.error:
        raise FrameError(f"{len(frame)} bytes are too few for a publication") from None
    check_header(magic, version)
    if flags & ~_FLAGS.get(kind, 0) or kind not in _FLAGS or (kind in _WITH_PAYLOADS) != (count > 0):
        raise FrameError(f"not a publication: kind {kind}, flags {flags}, {count} messages")
    check_count(count)
    segment = int.from_bytes(number)
    lengths_at = start + _HEADER.size
    payloads_at = lengths_at + 4 * count
    size = len(frame)
    if payloads_at > size:
        raise FrameError(f"{count} lengths do not fit into {size} bytes")
    lengths = struct.unpack_from(f"<{count}I", frame, lengths_at) if count else ()
    if bool(flags & FLAG_LARGE) != (large is not None) or (large is not None and count != 1):
        raise FrameError(f"flags {flags} and {count} messages, second frame: {large is not None}")
    if large is None:
        check_end(payloads_at + sum(lengths), size)
        return Publication(kind, flags, segment, publisher, first, sent_ns, lengths, frame, payloads_at)
    check_end(payloads_at, size)
    check_end(lengths[0], len(large))
    return Publication(kind, flags, segment, publisher, first, sent_ns, lengths, large, 0)


def live_prefix(segment: int) -> bytes:
    """What a reader is subscribed to by its publisher, to get the frames of a segment.

    Args:
        segment: its number, or ALL_READERS.
    """
    return _MAGIC_BYTE + segment.to_bytes(_SEGMENT_BYTES)


def is_large(payload: Any) -> bool:
    """Whether a payload goes as a frame of its own."""
    return len(payload) > LARGE_BYTES


class SegmentAck(NamedTuple):
    """What a reader says to a publisher: that it has handled a segment.

    Attributes:
        publisher: the id of the publisher that is meant; others ignore it.
        reader: the reader's id.
        expected: the sequence number of the next message that it expects.
        segment: its number; ALL_READERS: it has handled all that it was sent; NO_SEGMENT: it has handled
            something.
    """

    publisher: bytes
    reader: bytes
    expected: int
    segment: int


def encode_ack(ack: SegmentAck) -> tuple[bytes, bytes]:
    """Build the two frames to send: a subscription, and its end.

    A message of another kind would not do: with `ZMQ_XPUB_MANUAL` only a subscription tells the
    publisher which connection it came by. Its end at once keeps ZeroMQ from remembering it.
    """
    publisher, reader, expected, segment = ack
    body = ACK_PREFIX + _ACK.pack(publisher, reader, expected, segment.to_bytes(_SEGMENT_BYTES))
    return b"\x01" + body, b"\x00" + body


def decode_ack(frame: bytes) -> SegmentAck | None:
    """Read the first of these frames; None if it is something else."""
    if len(frame) != _ACK_BYTES or frame[:2] != b"\x01" + ACK_PREFIX:
        return None
    publisher, reader, expected, segment = _ACK.unpack_from(frame, 2)
    return SegmentAck(publisher, reader, expected, int.from_bytes(segment))
