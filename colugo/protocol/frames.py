"""The common parts of all frames of the wire format; `docs/wire.md` describes them byte by byte.

All numbers are little-endian. A frame is a fixed header, then numbers for each of its messages, then
their payloads one after another. Decoders check every length against the frame before they slice it,
and raise only `FrameError`.
"""

import struct
from enum import IntEnum
from itertools import accumulate, pairwise
from typing import TypeVar

from colugo.errors import FrameError

MAGIC = 0xC1
VERSION = 2
ID_BYTES = 8
NO_ID = bytes(ID_BYTES)
MAX_COUNT = 65536
"""The most messages in one frame; bounds the memory that a frame of many empty messages takes."""
BATCH_BYTES = 64 * 1024
"""The payload bytes at which a batch is sent before the loop's turn ends."""
LARGE_BYTES = 32 * 1024
"""The size above which a publication is sent in a frame of its own, without a copy."""

_BLOCK = 64

Sliced = TypeVar("Sliced", bytes, str, memoryview)


class FrameKind(IntEnum):
    """The kind of a frame."""

    DATA = 1
    WELCOME = 2
    RETAINED = 3
    BEACON = 4
    CUT = 5
    REQUEST = 16
    REPLY = 17
    QUESTION = 32
    ANSWER = 33
    GREETING = 34
    ENTRIES = 35
    REFUSAL = 36
    JOIN = 48
    SETTLE = 49
    LEAVE = 50
    JOINED = 51
    DELIVER = 52
    PING = 53


def check_header(magic: int, version: int) -> None:
    """Raise FrameError for a frame that is not colugo's, or of another version."""
    if magic != MAGIC:
        raise FrameError(f"the first byte is {magic:#04x}, not {MAGIC:#04x}: not a colugo peer")
    if version != VERSION:
        raise FrameError(f"wire format version {version}; this is version {VERSION}")


def check_count(count: int) -> None:
    """Raise FrameError for a frame of too many messages."""
    if count > MAX_COUNT:
        raise FrameError(f"{count} messages in one frame; the limit is {MAX_COUNT}")


def check_end(end: int, size: int) -> None:
    """Raise FrameError for a frame whose lengths do not add up to its size."""
    if end != size:
        raise FrameError(f"the lengths add up to {end} bytes, the frame has {size}")


def cut(whole: Sliced, start: int, lengths: tuple[int, ...]) -> list[Sliced]:
    """Slice a frame, or its text, from an offset on, by validated lengths."""
    if len(lengths) == 1:
        return [whole[start:]]
    if lengths and isinstance(whole, bytes) and lengths.count(lengths[0]) == len(lengths):
        return _cut_equal(whole, start, lengths[0], len(lengths))
    return [whole[begin:end] for begin, end in pairwise(accumulate(lengths, initial=start))]


def _cut_equal(whole: bytes, start: int, size: int, count: int) -> list[bytes]:
    """Slice messages of one size, which are common, in a third of the time.

    It works in blocks, since `struct` caches each format: a format for all messages of a frame would take
    many times the memory of the frame.
    """
    slices: list[bytes] = []
    if count >= _BLOCK:
        block = struct.Struct(f"{size}s" * _BLOCK)
        for _ in range(count // _BLOCK):
            slices += block.unpack_from(whole, start)
            start += block.size
    slices += struct.unpack_from(f"{size}s" * (count % _BLOCK), whole, start)
    return slices
