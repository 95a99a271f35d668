"""Frames of publish/subscribe: batches of messages, and control frames of publisher and subscriber."""

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

SUBSCRIBER_PREFIX = b"@"
"""The beginning of a subscriber's own subscription, before its id, and of frames for it alone."""
ACK_PREFIX = b"+"
ALL_SUBSCRIBERS = 2**64 - 1
"""The segment number of frames for all subscribers, however far behind.

Segment numbers are smaller, and have 64 bits so that none is used twice: a stalled subscriber stays
subscribed to the segments for which it had credit, and would receive later segments with the same numbers.
"""
NO_SEGMENT = ALL_SUBSCRIBERS - 1
"""The segment number in an acknowledgement that only reports progress."""

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

# Only the segment number has its high bytes first: subscriptions then share a prefix, which ZeroMQ stores
# once.
_HEADER = struct.Struct("<B8sBBB8sQQI")
_ONE = struct.Struct("<B8sBBB8sQQII")
_ACK = struct.Struct("<8s8sQ8s")
_SEGMENT_BYTES = 8
_MAGIC_BYTE = bytes([MAGIC])
_ACK_BYTES = 1 + len(ACK_PREFIX) + _ACK.size
JOIN_BYTES = 1 + len(SUBSCRIBER_PREFIX) + ID_BYTES


class Publication(NamedTuple):
    """A decoded frame of a publisher, whose lengths have been checked.

    Attributes:
        kind: a `FrameKind`: DATA, RETAINED, WELCOME, BEACON or CUT. Only the first two have payloads.
        flags: FLAG_TEXT (UTF-8 payloads), FLAG_LARGE (the payload is a second frame), FLAG_END (the last
            frame of its segment), FLAG_WAIT (the publisher applies backpressure), FLAG_CONFLATE (only the
            newest message counts), FLAG_ANSWER (subscribers are to report their position).
        segment: the number of its segment, or ALL_SUBSCRIBERS.
        publisher: the publisher's id, 8 bytes.
        first_sequence: the sequence number of the first message, or of the next one in a frame without
            payloads.
        sent_ns: the time of sending, nanoseconds since 1970.
        lengths: the lengths of the payloads.
        body: the received frame with the payloads.
        start: the offset of the first payload in it.
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
        """True if the payloads are UTF-8 text."""
        return bool(self.flags & FLAG_TEXT)

    def payloads(self) -> list[Any]:
        """Return the payloads as bytes, or as memoryviews if the frame is one."""
        if self.start == 0:
            return [self.body]
        return cut(self.body, self.start, self.lengths)

    def texts(self) -> list[str] | None:
        """Return the payloads as text if all of them are ASCII; None if each must be decoded separately."""
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
    segment: int = ALL_SUBSCRIBERS,
) -> bytes:
    """Build a frame; with FLAG_LARGE, without its one payload, which follows as a second frame.

    Args:
        publisher: the publisher's id, 8 bytes.
        first_sequence: the sequence number of the first message, or of the next one if there are no payloads.
        sent_ns: the time of sending, nanoseconds since 1970.
        payloads: bytes-like objects; none for WELCOME, BEACON and CUT.
        kind: a `FrameKind`.
        flags: the FLAG_… constants that apply.
        segment: the number of the segment, or ALL_SUBSCRIBERS.
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
    """Decode a frame.

    Args:
        frame: the received bytes.
        start: the offset of the header, which follows the prefix in a frame for one subscriber.
        large: the second frame, bytes-like; None if there was none.

    Raises:
        FrameError: if it is not a publication of this version.
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
    """Return the prefix of a segment's frames, to which the publisher subscribes a subscriber.

    Args:
        segment: the number of the segment, or ALL_SUBSCRIBERS.
    """
    return _MAGIC_BYTE + segment.to_bytes(_SEGMENT_BYTES)


def is_large(payload: Any) -> bool:
    """Return True if a payload is sent as a second frame."""
    return len(payload) > LARGE_BYTES


class SegmentAck(NamedTuple):
    """A subscriber's acknowledgement of a segment.

    Attributes:
        publisher: the id of the publisher; other publishers ignore the acknowledgement.
        subscriber: the subscriber's id.
        expected: the sequence number of the next message that the subscriber expects.
        segment: the number of the segment; ALL_SUBSCRIBERS for everything sent so far; NO_SEGMENT to report
            only progress.
    """

    publisher: bytes
    subscriber: bytes
    expected: int
    segment: int


def encode_ack(ack: SegmentAck) -> tuple[bytes, bytes]:
    """Build the two frames to send: a subscription and its cancellation.

    With `ZMQ_XPUB_MANUAL`, only a subscription tells the publisher which connection it came from. ZeroMQ
    forgets the subscription with its cancellation.
    """
    publisher, subscriber, expected, segment = ack
    body = ACK_PREFIX + _ACK.pack(publisher, subscriber, expected, segment.to_bytes(_SEGMENT_BYTES))
    return b"\x01" + body, b"\x00" + body


def decode_ack(frame: bytes) -> SegmentAck | None:
    """Decode the first of these frames; return None if it is something else."""
    if len(frame) != _ACK_BYTES or frame[:2] != b"\x01" + ACK_PREFIX:
        return None
    publisher, subscriber, expected, segment = _ACK.unpack_from(frame, 2)
    return SegmentAck(publisher, subscriber, expected, int.from_bytes(segment))
