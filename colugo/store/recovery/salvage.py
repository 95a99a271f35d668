"""Copying the readable rows of a damaged store."""

import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path

from colugo.errors import StoreError
from colugo.store.base import GroupRecord
from colugo.store.recovery.pages import Cell, DamagedPageError, Pages
from colugo.store.sqlite.creation import create
from colugo.store.sqlite.failure import store_failure
from colugo.store.sqlite.lock import claim, disclaim, held
from colugo.store.sqlite.rows import (
    DEAD_COLUMNS,
    GROUP_COLUMNS,
    MESSAGE_COLUMNS,
    Row,
    StreamRow,
    attempts_row,
    dead_row,
    group_row,
    message_row,
    read_attempts,
    read_dead,
    read_group,
    read_message,
    read_stream,
    stream_row,
)
from colugo.store.sqlite.wal import log_path

_FIRST_PAGE = 1
_HIGHEST = 2**63 - 1
_JUMP = 10**9
"""The gap left before the next sequence number if the last one used is unknown."""
_TABLE = 5
_STREAM = 5
_ATTEMPTS = 4
_MESSAGE = 8
_GROUP = 9
_DEAD = 13
"""The number of columns identifies a row's table; the row's checksum confirms it."""


@dataclass(slots=True)
class Salvaged:
    """The result of `salvage`.

    Attributes:
        attempts: the number of messages whose attempts were copied.
        lost: ranges of sequence numbers, both ends included, in which messages may have been lost. They
            include messages that had been acknowledged and deleted. A range that ends with 2**63 - 1 has no
            end.
        damaged_pages: the number of unreadable pages.
        damaged_rows: the number of unreadable rows in readable pages.
        new_stream: whether the stream's id was lost; consumers will treat the copy as another stream.
        log_damaged: whether the log is damaged: the last transactions may be missing, and `lost` may include
            sequence numbers that had been acknowledged.
        uncertain: whether acknowledged messages may have been copied, too.
    """

    messages: int = 0
    dead: int = 0
    groups: int = 0
    attempts: int = 0
    lost: list[tuple[int, int]] = field(default_factory=list)
    damaged_pages: int = 0
    damaged_rows: int = 0
    new_stream: bool = False
    log_damaged: bool = False
    uncertain: bool = False


def salvage(path: str | PathLike[str], into: str | PathLike[str]) -> Salvaged:
    """Copy every readable row of a store into a new store, without changing the old one.

    Raises:
        StoreError: if the damaged store does not exist or is in use, the new one exists, or reading or
            writing fails.
    """
    source, target = Path(path).absolute(), Path(into).absolute()
    if target.exists():
        raise StoreError(f"{target} already exists: salvage creates a new store")
    if not target.parent.is_dir():
        raise StoreError(f"{target} cannot be created: its folder does not exist")
    part = target.with_name(f"{target.name}-part")
    part.unlink(missing_ok=True)
    identity = None
    try:
        identity = claim(source)
        with held(source, "rb"), Pages(source) as pages:
            create(part)
            with closing(sqlite3.connect(part, isolation_level=None)) as connection:
                found = _Copy(pages, connection).run()
        part.rename(target)
    except sqlite3.Error as error:
        raise store_failure(target, error) from error
    except OSError as error:
        raise StoreError(f"{source} cannot be copied to {target}: {error}") from error
    finally:
        if identity is not None:
            disclaim(identity)
        for left in (part, log_path(part), part.with_name(f"{part.name}-shm")):
            left.unlink(missing_ok=True)
    return found


class _Copy:
    """One run of `salvage`."""

    _groups: dict[str, GroupRecord]

    def __init__(self, pages: Pages, connection: sqlite3.Connection) -> None:
        self._pages = pages
        self._connection = connection
        self._found = Salvaged()
        self._damaged: set[int] = set()
        self._stream: StreamRow | None = None
        self._groups = {}
        self._root: int | None = None
        """The root page of the table `messages`."""

    def run(self) -> Salvaged:
        self._connection.execute("BEGIN")
        self._found.log_damaged = self._found.uncertain = self._pages.log_damaged
        self._scan()
        for record in self._groups.values():
            self._insert("groups", GROUP_COLUMNS, group_row(record))
        self._found.groups = len(self._groups)
        last = self._put_stream()
        for low, high in self._suspects(last):
            self._found.lost += self._gaps(low, high)
        self._connection.execute("COMMIT")
        self._found.damaged_pages = len(self._damaged)
        return self._found

    def _scan(self) -> None:
        """Copy the rows of all pages that are not free, even those that no tree leads to."""
        try:
            free = self._pages.free()
        except DamagedPageError:
            free = set()
            self._found.uncertain = True
        for number in range(1, self._pages.count + 1):
            if number in free:
                continue
            try:
                cells = self._pages.cells(number)
            except DamagedPageError:
                self._damaged.add(number)
                continue
            for cell in cells:
                if not self._take(cell, number):
                    self._found.damaged_rows += 1
                    self._damaged.add(number)

    def _take(self, cell: Cell, number: int) -> bool:
        """Copy a row; return False if it is damaged."""
        values = cell.values
        if values is None:
            return False
        if number == _FIRST_PAGE and len(values) == _TABLE:
            if values[:2] == [b"table", b"messages"]:
                self._root = values[3]
            return True
        if values and values[0] is None:
            values[0] = cell.row_id
        take = {
            _STREAM: self._take_stream,
            _ATTEMPTS: self._take_attempts,
            _MESSAGE: self._take_message,
            _GROUP: self._take_group,
            _DEAD: self._take_dead,
        }.get(len(values))
        return take is not None and take(tuple(values))

    def _take_message(self, row: Row) -> bool:
        message = read_message(row)
        if message is not None:
            self._found.messages += self._insert("messages", MESSAGE_COLUMNS, message_row(message))
        return message is not None

    def _take_dead(self, row: Row) -> bool:
        letter = read_dead(row)
        if letter is not None:
            self._found.dead += self._insert("dead", DEAD_COLUMNS, dead_row(letter))
        return letter is not None

    def _take_group(self, row: Row) -> bool:
        record = read_group(row)
        if record is None:
            return False
        known = self._groups.get(record.name)
        if known is None or known.offered < record.offered:
            self._groups[record.name] = record
        return True

    def _take_stream(self, row: Row) -> bool:
        stream = read_stream(row)
        if stream is not None:
            self._stream = stream
        return stream is not None

    def _take_attempts(self, row: Row) -> bool:
        attempts = read_attempts(row)
        if attempts is not None:
            self._found.attempts += self._insert("attempts", "seq, grp, tries, crc", attempts_row(*attempts))
        return attempts is not None

    def _insert(self, table: str, columns: str, row: Row) -> int:
        places = ", ".join("?" * len(row))
        sql = f"INSERT OR IGNORE INTO {table} ({columns}) VALUES ({places})"  # noqa: S608 - of constants
        return self._connection.execute(sql, row).rowcount

    def _put_stream(self) -> int:
        """Give the copy the stream's id; return the last sequence number, or the highest one possible."""
        tables = (
            "SELECT seq FROM messages UNION ALL SELECT seq FROM dead UNION ALL SELECT offered FROM groups"
        )
        (last,) = self._connection.execute(f"SELECT ifnull(max(seq), 0) FROM ({tables})").fetchone()  # noqa: S608 - of our own names
        if self._stream is None:
            self._found.new_stream = True
            (stream_id,) = self._connection.execute("SELECT stream_id FROM stream").fetchone()
            self._stream = StreamRow(stream_id, last)
        last = max(int(last), self._stream.last_seq)
        jump = _JUMP if self._found.new_stream or self._found.log_damaged else 0
        stream = self._stream._replace(last_seq=last + jump)
        self._connection.execute("INSERT OR REPLACE INTO stream VALUES (?, ?, ?, ?, ?)", stream_row(stream))
        return last if jump == 0 else _HIGHEST

    def _suspects(self, last: int) -> list[tuple[int, int]]:
        """Return the ranges of sequence numbers on damaged pages, found in the tree of messages."""
        if self._root is None or self._pages.log_damaged:
            return [(1, last)]
        suspects = []
        waiting = [(self._root, 0, _HIGHEST)]
        seen: set[int] = set()
        while waiting:
            number, low, high = waiting.pop()
            children = None if number in seen else self._children(number)
            seen.add(number)
            if children is None:
                self._damaged.add(number)
                suspects.append((low + 1, min(high, last)))
                continue
            for child, limit in children:
                waiting.append((child, low, min(limit, high)))
                low = limit
        return sorted(pair for pair in suspects if pair[0] <= pair[1])

    def _children(self, number: int) -> list[tuple[int, int]] | None:
        """Return the child pages in the tree of messages: none for a leaf, None for a damaged page."""
        if number in self._damaged:
            return None
        try:
            return self._pages.children(number)
        except DamagedPageError:
            return None

    def _gaps(self, low: int, high: int) -> list[tuple[int, int]]:
        """Return the parts of a range of sequence numbers that have not been copied."""
        gaps = []
        sql = "SELECT seq FROM messages WHERE seq BETWEEN ? AND ? ORDER BY seq"
        for (seq,) in self._connection.execute(sql, (low, high)):
            if seq > low:
                gaps.append((low, seq - 1))
            low = seq + 1
        return [*gaps, (low, high)] if low <= high else gaps
