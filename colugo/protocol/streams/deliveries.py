"""The frames that deliver messages from a stream to a consumer, in batches."""

import struct
from collections.abc import Sequence
from operator import itemgetter, or_
from typing import NamedTuple

from colugo.errors import FrameError
from colugo.protocol.frames import MAGIC, VERSION, FrameKind, check_count, check_end, check_header, cut
from colugo.protocol.streams.message_parts import MAX_KEY_BYTES
from colugo.protocol.streams.stream_message import FLAG_TEXT, StreamMessage

FLAG_REDELIVERED = 2
_FLAGS = bytes(range((FLAG_TEXT | FLAG_REDELIVERED) + 1))
MAX_ATTEMPT = 255
"""The highest attempt that a frame carries; later ones are sent as this."""

_HEADER = struct.Struct("<BBBB8sI")
_NUMBERS = struct.Struct("<QQIHHBB")
_seq, _key, _headers, _payload, _flags, _sent_ns = map(itemgetter, range(6))


class Deliveries(NamedTuple):
    """A decoded batch, as columns with one value per message.

    Attributes:
        sent_ns: the times when the messages were sent, nanoseconds since 1970.
        attempts: the number of each delivery attempt, from 1; MAX_ATTEMPT stands for that or a later one.
        flags: combinations of FLAG_TEXT and FLAG_REDELIVERED.
        keys: "" for none.
        headers: msgpack maps, not validated; b"" for none.
        payloads: the encoded messages.
    """

    stream_id: bytes
    seqs: Sequence[int]
    sent_ns: Sequence[int]
    attempts: Sequence[int]
    flags: Sequence[int]
    keys: list[str]
    headers: list[bytes]
    payloads: list[bytes]


def encode_deliveries(
    stream_id: bytes,
    messages: list[StreamMessage],
    attempts: list[int] | None = None,
    redelivered: list[bool] | None = None,
) -> bytes:
    """Build the frame of a batch of 1 to MAX_COUNT messages.

    Without `attempts`, all are first attempts; without `redelivered`, no consumer has had any before.
    """
    count = len(messages)
    payloads = list(map(_payload, messages))
    keys: list[bytes] = []
    headers: list[bytes] = []
    sizes = bytes(4 * count)
    if any(map(_key, messages)) or any(map(_headers, messages)):
        keys = [key.encode() for key in map(_key, messages)]
        headers = list(map(_headers, messages))
        sizes = struct.pack(f"<{2 * count}H", *map(len, keys), *map(len, headers))
    flags = bytes(map(_flags, messages))
    if redelivered is not None:
        flags = bytes(map(or_, flags, (FLAG_REDELIVERED if each else 0 for each in redelivered)))
    tried = b"\x01" * count
    if attempts is not None:
        tried = bytes(min(attempt, MAX_ATTEMPT) for attempt in attempts)
    numbers = struct.pack(
        f"<{2 * count}Q{count}I", *map(_seq, messages), *map(_sent_ns, messages), *map(len, payloads)
    )
    header = _HEADER.pack(MAGIC, 0, VERSION, FrameKind.DELIVER, stream_id, count)
    return b"".join([header, numbers, sizes, tried, flags, *keys, *headers, *payloads])


def decode_deliveries(frame: bytes) -> Deliveries:
    """Read the frame of a batch; raise FrameError if it is malformed, or of another version."""
    try:
        magic, reserved, version, kind, stream_id, count = _HEADER.unpack_from(frame)
    except struct.error:
        raise FrameError(f"{len(frame)} bytes are too few for a DELIVER") from None
    check_header(magic, version)
    if kind != FrameKind.DELIVER or reserved or not count:
        raise FrameError(f"not a DELIVER: kind {kind}, second byte {reserved}, {count} messages")
    check_count(count)
    start = _HEADER.size + _NUMBERS.size * count
    if start > len(frame):
        raise FrameError(f"{count} messages do not fit into {len(frame)} bytes")
    numbers = struct.unpack_from(f"<{2 * count}Q{count}I", frame, _HEADER.size)
    seqs, sent_ns, lengths = numbers[:count], numbers[count : 2 * count], numbers[2 * count :]
    attempts_at, flags_at = start - 2 * count, start - count
    attempts, flags = frame[attempts_at:flags_at], frame[flags_at:start]
    if flags.translate(None, _FLAGS):
        raise FrameError(f"unknown flags among {set(flags)}")
    if 0 in attempts or 0 in seqs:
        raise FrameError("a sequence number or an attempt is 0; both begin with 1")
    names = frame[attempts_at - 4 * count : attempts_at]
    keys, headers, payloads = _cut_parts(frame, start, names, lengths)
    return Deliveries(stream_id, seqs, sent_ns, attempts, flags, keys, headers, payloads)


def _cut_parts(
    frame: bytes, start: int, names: bytes, lengths: tuple[int, ...]
) -> tuple[list[str], list[bytes], list[bytes]]:
    """Cut keys, headers and payloads out of a frame; `names` are the sizes of the keys, then of headers."""
    count = len(lengths)
    if names.count(0) == len(names):
        check_end(start + sum(lengths), len(frame))
        return [""] * count, [b""] * count, cut(frame, start, lengths)
    sizes = struct.unpack(f"<{2 * count}H", names)
    key_sizes, header_sizes = sizes[:count], sizes[count:]
    if max(key_sizes) > MAX_KEY_BYTES:
        raise FrameError(f"a key of {max(key_sizes)} bytes; the limit is {MAX_KEY_BYTES}")
    headers_at = start + sum(key_sizes)
    payloads_at = headers_at + sum(header_sizes)
    check_end(payloads_at + sum(lengths), len(frame))
    keys = _cut_keys(frame[start:headers_at], key_sizes)
    headers = cut(frame[:payloads_at], headers_at, header_sizes)
    return keys, headers, cut(frame, payloads_at, lengths)


def _cut_keys(whole: bytes, sizes: tuple[int, ...]) -> list[str]:
    try:
        if whole.isascii():
            return cut(whole.decode(), 0, sizes)
        return [key.decode() for key in cut(whole, 0, sizes)]
    except UnicodeDecodeError as error:
        raise FrameError(f"a key that is not UTF-8: {error.reason}") from None
