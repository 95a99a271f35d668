"""A transaction in SQL."""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
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

# Everything that is put together here is a constant of this package.
# ruff: noqa: S608

_COUNT = f"SELECT count(*), ifnull(sum({SIZE}), 0)"
_ROW = "(?, ?, ?, ?, ?, ?, ?, ?)"
_INSERTS = {
    rows: f"INSERT INTO messages ({MESSAGE_COLUMNS}) VALUES {', '.join([_ROW] * rows)}"
    for rows in (50, 10, 1)
}
"""Statements by the number of their rows: one of many rows takes three quarters of the time."""
_BATCH_BYTES = 64 * 1024
"""Of such rows together: SQLite copies what a statement is given."""
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
    """What is in a file as a whole.

    Attributes:
        stream_id: of the stream.
        last_seq: the highest number that was ever used.
        count: messages.
        size: bytes of messages and dead letters.
        dead: dead letters.
        topic: of the stream.
    """

    stream_id: bytes
    last_seq: int
    count: int
    size: int
    dead: int
    topic: str = ""


class Prepared(NamedTuple):
    """A transaction whose rows are made.

    Attributes:
        messages: statements that insert rows, with what they are given.
        rows: how many these are.
        groups: rows to put.
        attempts: rows to put.
        dead: rows to insert.
        size: bytes of what is inserted, dead letters included.
        last_seq: the highest number inserted; 0 without any.
        transaction: the rest.
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
    """Make the rows of a transaction; what cannot be stored at all raises here."""
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
    """Statements that insert messages, with what they are given."""
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
    """Write all of a transaction, which the caller has begun and will commit or roll back.

    Args:
        connection: to the file.
        prepared: what to write.
        totals: what is in the file.

    Returns:
        What is in it then, and what has been done.
    """
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
    totals = RowTotals(totals.stream_id, last_seq, count, size, dead, totals.topic)
    return totals, CommitOutcome(count, size, dead, trimmed, expired)


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
    """Insert and delete dead letters; return how many have gone, and their bytes."""
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
    """Drop the oldest messages; return the numbers of both kinds, and how many bytes they had."""
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
