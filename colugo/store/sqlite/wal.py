"""The log beside a store's file: SQLite's WAL, read without SQLite.

SQLite reads a log up to its first invalid frame and silently discards the rest, because frames after a torn
write were never committed. Valid transactions after an invalid frame, however, show that the log is damaged.

The format: https://www.sqlite.org/fileformat2.html, section 4.
"""

import enum
import os
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

PAGE_BYTES = 4096
"""The page size of every store."""
_HEADER = struct.Struct(">8I")
_FRAME = struct.Struct(">6I")
_SALTS = slice(16, 24)
_FRAME_SALTS = slice(8, 16)
_MAGIC = 0x377F0682
"""With the lowest bit set, checksums are computed over big-endian words."""
_MASK = 0xFFFFFFFF


class WalState(enum.Enum):
    """The condition of a log."""

    WHOLE = "whole"
    TORN = "torn"
    """The last transaction is incomplete: it was not committed, unless its end is damaged."""
    DAMAGED = "damaged"


class WalFrame(NamedTuple):
    """One page in the log.

    Attributes:
        page: the page number in the database, starting at 1.
        size: in the last frame of a transaction, the size of the database in pages; otherwise 0.
        at: the offset of the page's content in the file.
        valid: whether the checksum continues that of the previous frame.
        readable: whether this frame and all previous ones are valid, so that SQLite reads it.
    """

    page: int
    size: int
    at: int
    valid: bool
    readable: bool


def log_path(path: Path) -> Path:
    """Return the path of a store's log."""
    return path.with_name(f"{path.name}-wal")


def log_state(path: Path) -> WalState:
    """Return the condition of a store's log; a missing log is whole."""
    try:
        file = log_path(path).open("rb")
    except FileNotFoundError:
        return WalState.WHOLE
    with file:
        header = file.read(_HEADER.size)
        if not header.strip(b"\0"):
            return WalState.WHOLE
        if _seed(header) is None:
            return WalState.DAMAGED
        lost = [frame for frame in read_frames(file) if not frame.readable]
    ends = [number for number, frame in enumerate(lost) if frame.size]
    if not ends:
        return WalState.WHOLE
    return WalState.TORN if ends == [len(lost) - 1] else WalState.DAMAGED


def read_frames(file: BinaryIO) -> Iterator[WalFrame]:
    """Yield the frames of a log since its last restart, including invalid ones."""
    file.seek(0)
    header = file.read(_HEADER.size)
    if len(header) < _HEADER.size:
        return
    before = _seed(header)
    readable = before is not None
    salts = header[_SALTS] if readable else None
    order = _order(header)
    words = struct.Struct(f"{order}{PAGE_BYTES // 4}I")
    number = (os.fstat(file.fileno()).st_size - _HEADER.size) // (_FRAME.size + PAGE_BYTES)
    for _ in range(number):
        head = file.read(_FRAME.size)
        at = file.tell()
        content = file.read(PAGE_BYTES)
        page, size, _, _, first, second = _FRAME.unpack(head)
        salts = salts or head[_FRAME_SALTS]
        if head[_FRAME_SALTS] == salts:
            found = before and _checksum(struct.unpack(f"{order}2I", head[:8]), before)
            valid = found is not None and _checksum(words.unpack(content), found) == (first, second)
            readable = readable and valid
            yield WalFrame(page, size, at, valid, readable)
        before = first, second


def is_damaged(frames: list[WalFrame]) -> bool:
    """Return True if valid transactions follow invalid frames."""
    return any(frame.valid and frame.size and not frame.readable for frame in frames)


def _seed(header: bytes) -> tuple[int, int] | None:
    """Return the header's checksum, which the first frame continues, or None if it is damaged."""
    if len(header) < _HEADER.size:
        return None
    magic, _, page_bytes, _, _, _, *sums = _HEADER.unpack(header)
    if magic & ~1 != _MAGIC or page_bytes != PAGE_BYTES:
        return None
    found = _checksum(struct.unpack(f"{_order(header)}6I", header[:24]), (0, 0))
    return found if found == tuple(sums) else None


def _order(header: bytes) -> str:
    """Return the byte order of checksums; this machine's if the header is damaged."""
    (magic,) = struct.unpack_from(">I", header)
    if magic & ~1 == _MAGIC:
        return ">" if magic & 1 else "<"
    return ">" if sys.byteorder == "big" else "<"


def _checksum(words: tuple[int, ...], before: tuple[int, int]) -> tuple[int, int]:
    first, second = before
    pairs = iter(words)
    for one, other in zip(pairs, pairs, strict=True):
        first = (first + one + second) & _MASK
        second = (second + other + first) & _MASK
    return first, second
