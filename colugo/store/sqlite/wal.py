"""The log beside a store's file: SQLite's WAL, read without SQLite.

SQLite takes a log up to its first frame that is not as it was written, and forgets the rest without a
word: what comes after a torn end was never committed. Where later transactions follow, it is damage instead.

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
"""Of every store's file."""
_HEADER = struct.Struct(">8I")
_FRAME = struct.Struct(">6I")
_SALTS = slice(16, 24)
_FRAME_SALTS = slice(8, 16)
_MAGIC = 0x377F0682
"""With 1 added, checksums are of big-endian words."""
_MASK = 0xFFFFFFFF


class WalState(enum.Enum):
    """What a log is like."""

    WHOLE = "whole"
    TORN = "torn"
    """Its last transaction is not complete: it was not committed, unless its end is damaged."""
    DAMAGED = "damaged"


class WalFrame(NamedTuple):
    """One page in the log.

    Attributes:
        page: its number in the database, from 1 on.
        size: of the database in pages, in the last frame of a transaction; else 0.
        at: where its content begins in the file.
        sound: whether its checksum follows from that of the frame before.
        in_line: whether all frames before it are sound, too.
    """

    page: int
    size: int
    at: int
    sound: bool
    in_line: bool


def log_path(path: Path) -> Path:
    """Where the log of a store's file is."""
    return path.with_name(f"{path.name}-wal")


def log_state(path: Path) -> WalState:
    """What the log of a store's file is like; a missing one is whole."""
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
        lost = [frame for frame in read_frames(file) if not frame.in_line]
    ends = [number for number, frame in enumerate(lost) if frame.size]
    if not ends:
        return WalState.WHOLE
    return WalState.TORN if ends == [len(lost) - 1] else WalState.DAMAGED


def read_frames(file: BinaryIO) -> Iterator[WalFrame]:
    """The frames of a log since it was begun anew the last time, damaged ones included.

    Args:
        file: the log, open.
    """
    file.seek(0)
    header = file.read(_HEADER.size)
    if len(header) < _HEADER.size:
        return
    before = _seed(header)
    in_line = before is not None
    salts = header[_SALTS] if in_line else None
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
            sound = found is not None and _checksum(words.unpack(content), found) == (first, second)
            in_line = in_line and sound
            yield WalFrame(page, size, at, sound, in_line)
        before = first, second


def is_damaged(frames: list[WalFrame]) -> bool:
    """Whether transactions come after frames that are not as they were written."""
    return any(frame.sound and frame.size and not frame.in_line for frame in frames)


def _seed(header: bytes) -> tuple[int, int] | None:
    """The checksum of the header, with which that of the first frame begins; None if it is damaged."""
    if len(header) < _HEADER.size:
        return None
    magic, _, page_bytes, _, _, _, *sums = _HEADER.unpack(header)
    if magic & ~1 != _MAGIC or page_bytes != PAGE_BYTES:
        return None
    found = _checksum(struct.unpack(f"{_order(header)}6I", header[:24]), (0, 0))
    return found if found == tuple(sums) else None


def _order(header: bytes) -> str:
    """Of the bytes in words, for checksums; of this machine, if the header is damaged."""
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
