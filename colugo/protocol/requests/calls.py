"""Frames of request/reply: batches of requests, and of replies."""

import struct
from itertools import repeat
from operator import itemgetter
from typing import NamedTuple

from colugo.errors import FrameError
from colugo.protocol.frames import MAGIC, VERSION, FrameKind, check_count, check_end, check_header, cut

FLAG_TEXT = 1
FLAG_ERROR = 2
FLAG_REFUSED = 4
FLAG_DECLINED = 8
_FLAGS = FLAG_TEXT | FLAG_ERROR | FLAG_REFUSED | FLAG_DECLINED
_KNOWN = frozenset(range(_FLAGS + 1))

_ENTRY = struct.Struct("<QIB")
_HEADER = struct.Struct("<BBBB8sI")
_ONE = struct.Struct("<BBBB8sIQIB")
_correlation, _flags, _payload = map(itemgetter, range(3))


class Call(NamedTuple):
    """One request or reply within a batch.

    Attributes:
        correlation: the number of the request, chosen by the client.
        flags: FLAG_TEXT, and on replies FLAG_ERROR, FLAG_REFUSED or FLAG_DECLINED.
    """

    correlation: int
    flags: int
    payload: bytes


class Calls(NamedTuple):
    """A decoded batch of requests or replies.

    Attributes:
        server: id of the server that it is for or from; NO_ID if the client does not know the id.
    """

    kind: int
    server: bytes
    calls: list[Call]


def encode_calls(kind: int, server: bytes, calls: list[Call]) -> bytes:
    """Build the frame of a batch of requests or replies."""
    count = len(calls)
    if count == 1:
        correlation, flags, payload = calls[0]
        header = _ONE.pack(MAGIC, 0, VERSION, kind, server, 1, correlation, len(payload), flags)
        return header + payload
    payloads = list(map(_payload, calls))
    numbers = struct.pack(
        f"<{count}Q{count}I{count}B", *map(_correlation, calls), *map(len, payloads), *map(_flags, calls)
    )
    return b"".join([_HEADER.pack(MAGIC, 0, VERSION, kind, server, count), numbers, *payloads])


def decode_calls(frame: bytes, kind: int) -> Calls:
    """Read the frame of a batch; raise `FrameError` if it is malformed, or of another kind or version."""
    try:
        magic, reserved, version, got, server, count = _HEADER.unpack_from(frame)
    except struct.error:
        raise FrameError(f"{len(frame)} bytes are too few for a {FrameKind(kind).name}") from None
    check_header(magic, version)
    if got != kind or reserved or not count:
        raise FrameError(
            f"not a {FrameKind(kind).name}: kind {got}, second byte {reserved}, {count} messages"
        )
    check_count(count)
    payloads_at = _HEADER.size + _ENTRY.size * count
    if payloads_at > len(frame):
        raise FrameError(f"{count} entries do not fit into {len(frame)} bytes")
    if count == 1:
        correlation, size, flags_of_one = _ENTRY.unpack_from(frame, _HEADER.size)
        check_end(payloads_at + size, len(frame))
        if flags_of_one not in _KNOWN:
            raise FrameError(f"unknown flags {flags_of_one}")
        return Calls(got, server, [Call(correlation, flags_of_one, frame[payloads_at:])])
    numbers = struct.unpack_from(f"<{count}Q{count}I{count}B", frame, _HEADER.size)
    lengths = numbers[count : 2 * count]
    check_end(payloads_at + sum(lengths), len(frame))
    flags = numbers[2 * count :]
    if not _KNOWN.issuperset(flags):
        raise FrameError(f"unknown flags among {set(flags)}")
    payloads = cut(frame, payloads_at, lengths)
    # the same as Call(…), without running Python code for each
    calls = map(tuple.__new__, repeat(Call), zip(numbers[:count], flags, payloads, strict=True))
    return Calls(got, server, list(calls))


def split_envelope(frames: list[bytes]) -> tuple[list[bytes], list[bytes]]:
    """Divide the frames that a ROUTER received, without the identity, into envelope and body.

    If one of the frames is empty, all frames up to it are the envelope, as REQ sends it (with
    `REQ_CORRELATE`, a 4-byte frame precedes the empty one). Otherwise the envelope is empty.
    """
    if b"" not in frames:
        return [], frames
    end = frames.index(b"") + 1
    return frames[:end], frames[end:]
