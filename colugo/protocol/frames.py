"""The wire format: batches of publications, requests and replies, each one frame.

`docs/wire.md` gives it byte by byte. All numbers are little-endian. A frame is a fixed header, then
the lengths of its messages, then their payloads one after another. Decoders check every length
against the frame before they slice it, and raise nothing but `FrameError`.
"""

import struct
from enum import IntEnum
from itertools import accumulate, pairwise
from typing import NamedTuple

from colugo.errors import FrameError

MAGIC = 0xC1
VERSION = 1
LIVE_PREFIX = bytes([MAGIC])
"""What a publisher subscribes its readers to: each live frame begins with it."""
READER_PREFIX = b"@"
ID_BYTES = 8
NO_ID = bytes(ID_BYTES)
MAX_COUNT = 65536
"""Messages in one frame: so that what a frame of many empty ones becomes in memory has a bound."""

_PUBLICATION = struct.Struct("<BBBB8sQQI")
_CALL = struct.Struct("<BBBB8sI")

FLAG_TEXT = 1
FLAG_ERROR = 2
FLAG_REFUSED = 4
_CALL_FLAGS = FLAG_TEXT | FLAG_ERROR | FLAG_REFUSED


class Kind(IntEnum):
    """The third byte of each frame."""

    DATA = 1
    WELCOME = 2
    REQUEST = 16
    REPLY = 17


class Publication(NamedTuple):
    """A decoded batch of publications, or a welcome (which has no payloads).

    Attributes:
        kind: DATA or WELCOME.
        text: whether the payloads are UTF-8 text.
        publisher: the publisher's id, 8 bytes.
        first_sequence: the sequence number of the first message; of a welcome: of the next one.
        sent_ns: when it was sent, nanoseconds since 1970.
        payloads: the messages.
    """

    kind: int
    text: bool
    publisher: bytes
    first_sequence: int
    sent_ns: int
    payloads: list[bytes]


class Call(NamedTuple):
    """One request or reply within a batch.

    Attributes:
        correlation: the number the client gave it.
        flags: FLAG_TEXT, and on replies FLAG_ERROR or FLAG_REFUSED.
        payload: the bytes.
    """

    correlation: int
    flags: int
    payload: bytes


class Calls(NamedTuple):
    """A decoded batch of requests or replies.

    Attributes:
        kind: REQUEST or REPLY.
        server: id of the server it is meant for or comes from; NO_ID if the client does not know.
        calls: the requests or replies.
    """

    kind: int
    server: bytes
    calls: list[Call]


def encode_publication(
    publisher: bytes,
    first_sequence: int,
    sent_ns: int,
    payloads: list[bytes],
    *,
    text: bool,
    kind: int = Kind.DATA,
) -> bytes:
    """Build the frame of a batch of publications."""
    count = len(payloads)
    header = _PUBLICATION.pack(
        MAGIC, VERSION, kind, FLAG_TEXT if text else 0, publisher, first_sequence, sent_ns, count
    )
    if count == 1:
        return b"%b%b%b" % (header, len(payloads[0]).to_bytes(4, "little"), payloads[0])
    lengths = struct.pack(f"<{count}I", *map(len, payloads))
    return b"".join([header, lengths, *payloads])


def decode_publication(frame: bytes, start: int = 0) -> Publication:
    """Read the frame of a batch of publications.

    Args:
        frame: the received bytes.
        start: where the header begins: after the reader's prefix in a frame for one reader.

    Raises:
        FrameError: if it is anything else, or of another version.
    """
    try:
        magic, version, kind, flags, publisher, first, sent_ns, count = _PUBLICATION.unpack_from(frame, start)
    except struct.error:
        raise FrameError(f"{len(frame)} bytes are too few for a publication") from None
    _check_header(magic, version)
    if kind not in (Kind.DATA, Kind.WELCOME) or flags & ~FLAG_TEXT or (kind == Kind.WELCOME) != (count == 0):
        raise FrameError(f"not a publication: kind {kind}, flags {flags}, {count} messages")
    _check_count(count)
    lengths_at = start + _PUBLICATION.size
    payloads_at = lengths_at + 4 * count
    if payloads_at > len(frame):
        raise FrameError(f"{count} lengths do not fit into {len(frame)} bytes")
    lengths = struct.unpack_from(f"<{count}I", frame, lengths_at)
    return Publication(kind, bool(flags), publisher, first, sent_ns, _slice(frame, payloads_at, lengths))


def encode_calls(kind: int, server: bytes, calls: list[Call]) -> bytes:
    """Build the frame of a batch of requests or replies."""
    count = len(calls)
    numbers = struct.pack(
        f"<{count}Q{count}I{count}B",
        *[call.correlation for call in calls],
        *[len(call.payload) for call in calls],
        *[call.flags for call in calls],
    )
    return b"".join(
        [_CALL.pack(MAGIC, VERSION, kind, 0, server, count), numbers, *[call.payload for call in calls]]
    )


def decode_calls(frame: bytes, kind: int) -> Calls:
    """Read the frame of a batch of requests or replies.

    Args:
        frame: the received bytes.
        kind: the only kind that is accepted here.

    Raises:
        FrameError: if it is anything else, or of another version.
    """
    try:
        magic, version, got, flags, server, count = _CALL.unpack_from(frame)
    except struct.error:
        raise FrameError(f"{len(frame)} bytes are too few for a {Kind(kind).name}") from None
    _check_header(magic, version)
    if got != kind or flags or not count:
        raise FrameError(f"not a {Kind(kind).name}: kind {got}, flags {flags}, {count} messages")
    _check_count(count)
    payloads_at = _CALL.size + 13 * count
    if payloads_at > len(frame):
        raise FrameError(f"{count} entries do not fit into {len(frame)} bytes")
    numbers = struct.unpack_from(f"<{count}Q{count}I{count}B", frame, _CALL.size)
    call_flags = numbers[2 * count :]
    if any(one & ~_CALL_FLAGS for one in call_flags):
        raise FrameError(f"unknown flags among {set(call_flags)}")
    payloads = _slice(frame, payloads_at, numbers[count : 2 * count])
    return Calls(got, server, list(map(Call, numbers[:count], call_flags, payloads)))


def _check_header(magic: int, version: int) -> None:
    if magic != MAGIC:
        raise FrameError(f"the first byte is {magic:#04x}, not {MAGIC:#04x}: not a colugo peer")
    if version != VERSION:
        raise FrameError(f"wire format version {version}; this is version {VERSION}")


def _check_count(count: int) -> None:
    if count > MAX_COUNT:
        raise FrameError(f"{count} messages in one frame; there may be {MAX_COUNT}")


def _slice(frame: bytes, start: int, lengths: tuple[int, ...]) -> list[bytes]:
    end = start + sum(lengths)
    if end != len(frame):
        raise FrameError(f"the lengths add up to {end} bytes, the frame has {len(frame)}")
    return [frame[begin:end] for begin, end in pairwise(accumulate(lengths, initial=start))]


def split_envelope(frames: list[bytes]) -> tuple[list[bytes], list[bytes]]:
    """Divide what a ROUTER received, after the identity, into envelope and body.

    An empty frame present: all up to it is envelope, as REQ sends it (with `REQ_CORRELATE`, a
    4-byte frame stands before the empty one). None: no envelope, the body is ours.
    """
    if b"" not in frames:
        return [], frames
    end = frames.index(b"") + 1
    return frames[:end], frames[end:]
