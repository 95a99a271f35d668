"""Writing a transaction in SQL."""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from colugo.protocol.streams.stream_message import StreamMessage
from colugo.store.base import CommitOutcome, Transaction, Trim, size_of_all
from colugo.store.sqlite.rows import (
    DEAD_COLUMNS,
    GROUP_COLUMNS,
    MESSAGE_COLUMNS,
    SIZE,
    STREAM_COLUMNS,
    Row,
    StreamRow,
    attempts_row,
    dead_row,
    group_row,
    message_row,
    stream_row,
)

# every text that is formatted into SQL here is a constant of this package
# ruff: noqa: S608

_COUNT = f"SELECT count(*), ifnull(sum({SIZE}), 0)"
_ROW = "(?, ?, ?, ?, ?, ?, ?, ?)"
_INSERTS = {
    rows: f"INSERT INTO messages ({MESSAGE_COLUMNS}) VALUES {', '.join([_ROW] * rows)}"
    for rows in (50, 10, 1)
}
"""Statements by their number of rows; a statement of many rows takes three quarters of the time."""
_BATCH_BYTES = 64 * 1024
"""The limit of bytes for a statement of many rows, because SQLite copies its values."""
_UPSERT_GROUP = (
    f"INSERT INTO groups ({GROUP_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) "
    "ON CONFLICT (name) DO UPDATE SET "
    + ", ".join(f"{column} = excluded.{column}" for column in GROUP_COLUMNS.split(", ")[1:])
)
_UPSERT_ATTEMPTS = "INSERT OR REPLACE INTO attempts (seq, grp, tries, crc) VALUES (?, ?, ?, ?)"
_INSERT_DEAD = f"INSERT INTO dead ({DEAD_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_UPDATE_STREAM = f"INSERT OR REPLACE INTO stream ({STREAM_COLUMNS}) VALUES (?, ?, ?, ?, ?)"


@dataclass(frozen=True, slots=True)
class RowTotals:
    """The totals of a file's rows, as in `OpenedStore`."""

    stream_id: bytes
    last_seq: int
    count: int
    size: int
    dead: int
    topic: str = ""


class DamagedRows(NamedTuple):
    """Sequence numbers of messages and row ids of dead letters that were found damaged while reading."""

    messages: list[int]
    dead: list[int]


class Prepared(NamedTuple):
    """A transaction whose rows are encoded.

    Attributes:
        messages: statements that insert messages, each with its values.
        rows: the number of messages.
        size: the bytes of messages and dead letters to insert.
        last_seq: the highest sequence number to insert; 0 without messages.
    """

    messages: list[tuple[str, list[Any]]]
    rows: int
    groups: list[Row]
    attempts: list[Row]
    dead: list[Row]
    size: int
    last_seq: int
    transaction: Transaction


def prepare(transaction: Transaction) -> Prepared:
    """Encode the rows of a transaction; raises for values that cannot be stored."""
    inserts = transaction.inserts
    return Prepared(
        list(_batches(inserts)),
        len(inserts),
        [group_row(record) for record in transaction.groups.values()],
        [attempts_row(*attempt) for attempt in transaction.attempts],
        [dead_row(letter) for letter in transaction.dead],
        size_of_all(inserts) + size_of_all([letter.message for letter in transaction.dead]),
        max((message.seq for message in inserts), default=0),
        transaction,
    )


def _batches(messages: list[StreamMessage]) -> Iterator[tuple[str, list[Any]]]:
    """Yield statements that insert messages, each with its values."""
    at = 0
    for rows, statement in _INSERTS.items():
        while len(messages) - at >= rows:
            batch = messages[at : at + rows]
            if rows > 1 and size_of_all(batch) > _BATCH_BYTES:
                break
            values: list[Any] = []
            for message in batch:
                values += message_row(message)
            yield statement, values
            at += rows


def write(
    connection: sqlite3.Connection, prepared: Prepared, totals: RowTotals
) -> tuple[RowTotals, CommitOutcome]:
    """Write the rows of a transaction; the caller begins it and commits or rolls it back."""
    last_seq = totals.last_seq
    transaction = prepared.transaction
    if prepared.messages:
        for statement, values in prepared.messages:
            connection.execute(statement, values)
        last_seq = max(last_seq, prepared.last_seq)
        connection.execute(_UPDATE_STREAM, stream_row(StreamRow(totals.stream_id, last_seq, totals.topic)))
    removed, removed_size = _delete(connection, transaction.deletes)
    gone, gone_size = _write_dead(connection, prepared)
    if transaction.gone:
        connection.executemany("DELETE FROM groups WHERE name = ?", [(name,) for name in transaction.gone])
    if prepared.groups:
        connection.executemany(_UPSERT_GROUP, prepared.groups)
    if prepared.attempts:
        connection.executemany(_UPSERT_ATTEMPTS, prepared.attempts)
    if transaction.settled:
        connection.executemany("DELETE FROM attempts WHERE grp = ? AND seq = ?", transaction.settled)
    count = totals.count + prepared.rows - removed
    size = totals.size + prepared.size - removed_size - gone_size
    dead = totals.dead + len(prepared.dead) - gone
    trimmed: list[int] = []
    expired: list[int] = []
    if transaction.trim is not None:
        trimmed, expired, freed = _trim(connection, transaction.trim, count, size)
        count -= len(trimmed) + len(expired)
        size -= freed
    totals = replace(totals, last_seq=last_seq, count=count, size=size, dead=dead)
    return totals, CommitOutcome(count, size, dead, trimmed, expired)


def move_aside(connection: sqlite3.Connection, damaged: DamagedRows, totals: RowTotals) -> RowTotals:
    """Move damaged rows to the table `corrupt`, within a transaction of the caller."""
    count, size, dead = totals.count, totals.size, totals.dead
    for table, ids in (("messages", damaged.messages), ("dead", damaged.dead)):
        for number in ids:
            length = connection.execute(
                f"SELECT ifnull({SIZE}, 0) FROM {table} WHERE rowid = ?", (number,)
            ).fetchone()
            if length is None:
                continue
            # each of these columns is one of the table `dead`, too
            connection.execute(
                f"INSERT INTO corrupt ({MESSAGE_COLUMNS}) SELECT {MESSAGE_COLUMNS} FROM {table} "
                "WHERE rowid = ?",
                (number,),
            )
            connection.execute(f"DELETE FROM {table} WHERE rowid = ?", (number,))
            size -= length[0]
            count -= table == "messages"
            dead -= table == "dead"
    return replace(totals, count=count, size=size, dead=dead)


def _delete(connection: sqlite3.Connection, ranges: list[tuple[int, int]]) -> tuple[int, int]:
    removed = removed_size = 0
    for pair in ranges:
        number, size = connection.execute(
            f"{_COUNT} FROM messages WHERE seq BETWEEN ? AND ?", pair
        ).fetchone()
        removed += number
        removed_size += size
        connection.execute("DELETE FROM messages WHERE seq BETWEEN ? AND ?", pair)
        connection.execute("DELETE FROM attempts WHERE seq BETWEEN ? AND ?", pair)
    return removed, removed_size


def _write_dead(connection: sqlite3.Connection, prepared: Prepared) -> tuple[int, int]:
    """Insert and delete dead letters; return the number of deleted ones, and their bytes."""
    transaction = prepared.transaction
    replaced = _delete_dead(connection, [(one.group, one.message.seq) for one in transaction.dead])
    if prepared.dead:
        connection.executemany(_INSERT_DEAD, prepared.dead)
    revived = _delete_dead(connection, transaction.undead)
    return replaced[0] + revived[0], replaced[1] + revived[1]


def _delete_dead(connection: sqlite3.Connection, pairs: list[tuple[str, int]]) -> tuple[int, int]:
    deleted = deleted_size = 0
    for pair in pairs:
        number, size = connection.execute(f"{_COUNT} FROM dead WHERE grp = ? AND seq = ?", pair).fetchone()
        deleted += number
        deleted_size += size
        connection.execute("DELETE FROM dead WHERE grp = ? AND seq = ?", pair)
    return deleted, deleted_size


def _trim(
    connection: sqlite3.Connection, trim: Trim, count: int, size: int
) -> tuple[list[int], list[int], int]:
    """Drop the oldest messages; return trimmed and expired sequence numbers, and the bytes freed."""
    trimmed: list[int] = []
    expired: list[int] = []
    freed = last = 0
    rows = connection.execute(f"SELECT seq, sent_ns, {SIZE} FROM messages ORDER BY seq")
    expiring = trim.oldest_ns is not None
    for seq, sent_ns, length in rows:
        expiring = expiring and trim.oldest_ns is not None and sent_ns < trim.oldest_ns
        if expiring:
            expired.append(seq)
        elif trim.exceeded(count - len(trimmed) - len(expired), size - freed):
            trimmed.append(seq)
        else:
            break
        freed += length
        last = seq
    rows.close()
    if last:
        connection.execute("DELETE FROM messages WHERE seq <= ?", (last,))
        connection.execute("DELETE FROM attempts WHERE seq <= ?", (last,))
    return trimmed, expired, freed
