"""The log beside a store's file: SQLite's WAL, read without SQLite.

SQLite takes a log up to its first frame that is not as it was written, and forgets the rest without a
word: what comes after a torn end was never committed. Where later transactions follow, it is damage instead.

The format: https://www.sqlite.org/fileformat2.html, section 4.
"""

import enum
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

_HEADER = struct.Struct(">8I")
_FRAME = struct.Struct(">6I")
_MAGIC = 0x377F0682
"""With 1 added, checksums are of big-endian words."""
_MASK = 0xFFFFFFFF


class LogState(enum.Enum):
    """What a log is like."""

    WHOLE = "whole"
    TORN = "torn"
    """Its last transaction is not complete: it was not committed, unless its end is damaged."""
    DAMAGED = "damaged"


class Frame(NamedTuple):
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


def log_state(path: Path) -> LogState:
    """What the log of a store's file is like; a missing one is whole."""
    try:
        file = log_path(path).open("rb")
    except FileNotFoundError:
        return LogState.WHOLE
    with file:
        header = file.read(_HEADER.size)
        if not header.strip(b"\0"):
            return LogState.WHOLE
        if _seed(header) is None:
            return LogState.DAMAGED
        lost = [frame for frame in read_frames(file) if not frame.in_line]
    commits = [number for number, frame in enumerate(lost) if frame.sound and frame.size]
    if not commits:
        return LogState.WHOLE
    return LogState.TORN if commits[0] == len(lost) - 1 else LogState.DAMAGED


def read_frames(file: BinaryIO) -> Iterator[Frame]:
    """The frames of a log since it was begun anew the last time, damaged ones included.

    Args:
        file: the log, open.
    """
    file.seek(0)
    header = file.read(_HEADER.size)
    seed = _seed(header)
    if seed is None:
        return
    _, _, page_bytes, _, *salts, _, _ = _HEADER.unpack(header)
    order = ">" if header[3] & 1 else "<"
    words = struct.Struct(f"{order}{page_bytes // 4}I")
    number = (os.fstat(file.fileno()).st_size - _HEADER.size) // (_FRAME.size + page_bytes)
    before = seed
    in_line = True
    for _ in range(number):
        head = file.read(_FRAME.size)
        at = file.tell()
        content = file.read(page_bytes)
        page, size, salt_1, salt_2, sum_1, sum_2 = _FRAME.unpack(head)
        found = _checksum(struct.unpack(f"{order}2I", head[:8]), before)
        sound = (
            [salt_1, salt_2] == salts
            and _checksum(words.unpack(content), found) == (sum_1, sum_2)
            and page > 0
        )
        in_line = in_line and sound
        if [salt_1, salt_2] == salts:
            yield Frame(page, size, at, sound, in_line)
        before = sum_1, sum_2


def _seed(header: bytes) -> tuple[int, int] | None:
    """The checksum of the header, with which that of the first frame begins; None if it is damaged."""
    if len(header) < _HEADER.size:
        return None
    magic, _, page_bytes, _, _, _, *sums = _HEADER.unpack(header)
    order = ">" if magic & 1 else "<"
    if magic & ~1 != _MAGIC or page_bytes < 512 or page_bytes & (page_bytes - 1):  # noqa: PLR2004 - the least page
        return None
    found = _checksum(struct.unpack(f"{order}6I", header[:24]), (0, 0))
    return found if found == tuple(sums) else None


def _checksum(words: tuple[int, ...], before: tuple[int, int]) -> tuple[int, int]:
    first, second = before
    pairs = iter(words)
    for one, other in zip(pairs, pairs, strict=True):
        first = (first + one + second) & _MASK
        second = (second + other + first) & _MASK
    return first, second
