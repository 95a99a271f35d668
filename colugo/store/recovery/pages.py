"""The pages of a store's file, read without SQLite, which stops at the first damaged one.

The format: https://www.sqlite.org/fileformat2.html, sections 1 and 2.
"""

import struct
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, NamedTuple, Self

from colugo.store.sqlite.wal import PAGE_BYTES, is_damaged, log_path, read_frames

_LEAF = 0x0D
_INTERIOR = 0x05
_FIRST_PAGE_HEADER = 100
_FREELIST_AT = 32
_INTEGER_BYTES = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}
_MAX_LOCAL = PAGE_BYTES - 35
_MIN_LOCAL = (PAGE_BYTES - 12) * 32 // 255 - 23
_VARINT_BYTES = 9

Record = list[Any]


class DamagedPageError(Exception):
    """A page is damaged, or missing."""


class Cell(NamedTuple):
    """The id of a table's row and its columns, with texts as bytes; None if they are unreadable."""

    row_id: int
    values: Record | None


class Pages:
    """The pages of a file and its log, as of the last readable transaction.

    Methods raise `DamagedPageError` if a page that they need is damaged or missing.

    Attributes:
        count: the number of pages in the database.
        log_damaged: whether the last transactions may be missing.
    """

    def __init__(self, path: Path) -> None:
        self._file: BinaryIO = path.open("rb")
        self._log: BinaryIO | None = None
        self.log_damaged = False
        self._logged: dict[int, int] = {}
        """The offset of each page's newest version in the log."""
        # without a log, the file contains the whole database
        self.count = self._file.seek(0, 2) // PAGE_BYTES
        if log_path(path).exists():
            self._log = log_path(path).open("rb")
            self._read_log(self._log)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()
        if self._log is not None:
            self._log.close()

    def read(self, number: int) -> bytes:
        """Return a page."""
        file, at = self._file, (number - 1) * PAGE_BYTES
        if number in self._logged:
            assert self._log is not None
            file, at = self._log, self._logged[number]
        if number < 1:
            raise DamagedPageError
        file.seek(at)
        page = file.read(PAGE_BYTES)
        if len(page) < PAGE_BYTES:
            raise DamagedPageError
        return page

    def free(self) -> set[int]:
        """Return the free pages, which may still contain deleted rows."""
        free: set[int] = set()
        (trunk,) = struct.unpack_from(">I", self.read(1), _FREELIST_AT)
        while trunk:
            if trunk in free:
                raise DamagedPageError
            page = self.read(trunk)
            following, number = struct.unpack_from(">II", page)
            if number > PAGE_BYTES // 4 - 2:
                raise DamagedPageError
            free.add(trunk)
            free.update(struct.unpack_from(f">{number}I", page, 8))
            trunk = following
        return free

    def cells(self, number: int) -> list[Cell]:
        """Return the rows of a table's leaf page; none if the page is of another kind."""
        page = self.read(number)
        start = _FIRST_PAGE_HEADER if number == 1 else 0
        if page[start] != _LEAF:
            return []
        return [self._cell(page, at) for at in _pointers(page, start, 8)]

    def children(self, number: int) -> list[tuple[int, int]]:
        """Return the child pages of a table's page, each with its highest row id; none for a leaf.

        The last child has no limit, so it gets the highest row id possible. Other pages count as damaged.
        """
        page = self.read(number)
        start = _FIRST_PAGE_HEADER if number == 1 else 0
        if page[start] == _LEAF:
            return []
        if page[start] != _INTERIOR:
            raise DamagedPageError
        found = []
        for at in _pointers(page, start, 12):
            (child,) = struct.unpack_from(">I", page, at)
            try:
                found.append((child, _varint(page, at + 4)[0]))
            except IndexError:
                raise DamagedPageError from None
        (last,) = struct.unpack_from(">I", page, start + 8)
        return [*found, (last, 2**63 - 1)]

    def _read_log(self, log: BinaryIO) -> None:
        pending: dict[int, int] = {}
        frames = list(read_frames(log))
        self.log_damaged = is_damaged(frames)
        for frame in frames:
            if frame.valid:
                pending[frame.page] = frame.at
            if frame.valid and frame.size:
                self._logged |= pending
                self.count = frame.size
                pending = {}

    def _cell(self, page: bytes, at: int) -> Cell:
        row_id = 0
        try:
            length, at = _varint(page, at)
            row_id, at = _varint(page, at)
            return Cell(row_id, _record(self._payload(page, at, length)))
        except (DamagedPageError, IndexError, struct.error):
            return Cell(row_id, None)

    def _payload(self, page: bytes, at: int, length: int) -> bytes:
        if length <= _MAX_LOCAL:
            return page[at : at + length]
        if length > self.count * PAGE_BYTES:
            raise DamagedPageError
        local = _MIN_LOCAL + (length - _MIN_LOCAL) % (PAGE_BYTES - 4)
        local = local if local <= _MAX_LOCAL else _MIN_LOCAL
        payload = bytearray(page[at : at + local])
        (following,) = struct.unpack_from(">I", page, at + local)
        while len(payload) < length:
            overflow = self.read(following)
            (following,) = struct.unpack_from(">I", overflow)
            payload += overflow[4 : 4 + length - len(payload)]
        return bytes(payload)


def _pointers(page: bytes, start: int, header_bytes: int) -> tuple[int, ...]:
    """Return the offsets of a page's cells."""
    (number,) = struct.unpack_from(">H", page, start + 3)
    try:
        found = struct.unpack_from(f">{number}H", page, start + header_bytes)
    except struct.error:
        raise DamagedPageError from None
    if any(at > PAGE_BYTES - 4 for at in found):
        raise DamagedPageError
    return found


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Read a number of 1 to 9 bytes; return it and the offset of its end."""
    value = 0
    for step in range(_VARINT_BYTES - 1):
        byte = data[at + step]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:  # noqa: PLR2004 - the highest bit is clear in the last byte
            return value, at + step + 1
    value = value << 8 | data[at + _VARINT_BYTES - 1]
    return value - (1 << 64) if value >> 63 else value, at + _VARINT_BYTES


def _record(payload: bytes) -> Record:
    """Decode the columns of a row."""
    end, at = _varint(payload, 0)
    body = end
    values: Record = []
    while at < end:
        kind, at = _varint(payload, at)
        value, body = _value(payload, kind, body)
        values.append(value)
    if body != len(payload):
        raise DamagedPageError
    return values


def _value(payload: bytes, kind: int, at: int) -> tuple[Any, int]:
    if kind == 0:
        return None, at
    if kind in {8, 9}:
        return kind - 8, at
    if kind in _INTEGER_BYTES:
        end = at + _INTEGER_BYTES[kind]
        return int.from_bytes(payload[at:end], signed=True), end
    if kind < 12:  # noqa: PLR2004 - fractions, which no table has, and reserved types
        raise DamagedPageError
    end = at + (kind - 12) // 2
    return payload[at:end], end
