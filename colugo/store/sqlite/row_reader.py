"""Reading rows in SQL; damaged ones are left out and collected."""

import sqlite3
from collections.abc import Iterable
from pathlib import Path

from colugo.protocol.streams.stream_message import StreamMessage
from colugo.store.base import DeadQuery, OpenedStore, StoredDeadLetter
from colugo.store.sqlite.failure import damaged_failure
from colugo.store.sqlite.rows import (
    DEAD_COLUMNS,
    GROUP_COLUMNS,
    MESSAGE_COLUMNS,
    SIZE,
    STREAM_COLUMNS,
    Row,
    read_attempts,
    read_dead,
    read_group,
    read_message,
    read_stream,
)

# every text that is formatted into SQL here is a constant of this package
# ruff: noqa: S608


def messages_after(
    connection: sqlite3.Connection, after: int, limit: int, max_bytes: int, corrupt: list[int]
) -> list[StreamMessage]:
    """Read messages as `Store.read` does; `corrupt` collects the sequence numbers of damaged rows."""
    sql = f"SELECT {MESSAGE_COLUMNS} FROM messages WHERE seq > ? ORDER BY seq LIMIT ?"
    found: list[StreamMessage] = []
    size = 0
    while limit > len(found):
        rows = connection.execute(sql, (after, limit - len(found)))
        damaged = len(corrupt)
        for row in rows:
            after = row[0]
            message = read_message(row)
            if message is None:
                corrupt.append(after)
                continue
            size += len(message.payload)
            if found and size > max_bytes:
                rows.close()
                return found
            found.append(message)
        if len(corrupt) == damaged:
            break
    return found


def messages_at(
    connection: sqlite3.Connection, seqs: Iterable[int], corrupt: list[int]
) -> list[StreamMessage]:
    """Read the messages with these sequence numbers, in order."""
    sql = f"SELECT {MESSAGE_COLUMNS} FROM messages WHERE seq = ?"
    found = []
    for seq in sorted(set(seqs)):
        for row in connection.execute(sql, (seq,)):
            message = read_message(row)
            if message is None:
                corrupt.append(seq)
            else:
                found.append(message)
    return found


def dead_letters(
    connection: sqlite3.Connection, query: DeadQuery, corrupt: list[int]
) -> list[StoredDeadLetter]:
    """Read dead letters in the order of the query; `corrupt` collects the row ids of damaged ones."""
    conditions = ["(seq, grp) > (?, ?)"]
    values: list[object] = list(query.after)
    if query.group is not None:
        conditions.append("grp = ?")
        values.append(query.group)
    if query.key is not None:
        conditions.append("key = ?")
        values.append(query.key)
    sql = f"SELECT {DEAD_COLUMNS}, rowid FROM dead WHERE {' AND '.join(conditions)}"
    found: list[StoredDeadLetter] = []
    size = 0
    for row in _dead_rows(connection, sql, values, query):
        letter = read_dead(row[:-1])
        if letter is None:
            corrupt.append(row[-1])
            continue
        size += len(letter.message.payload)
        if found and size > query.max_bytes:
            break
        found.append(letter)
        if len(found) >= query.limit:
            break
    return found


def _dead_rows(
    connection: sqlite3.Connection, sql: str, values: list[object], query: DeadQuery
) -> Iterable[Row]:
    if query.ids is None:
        yield from connection.execute(f"{sql} ORDER BY seq, grp", values)
        return
    for group, seq in sorted(set(query.ids), key=lambda pair: (pair[1], pair[0])):
        yield from connection.execute(f"{sql} AND grp = ? AND seq = ?", [*values, group, seq])


def read_opened(connection: sqlite3.Connection, path: Path) -> OpenedStore:
    """Read the content that a stream needs when it opens.

    Raises:
        StoreError: if any of it is damaged: the stream would deliver too many or too few messages.
    """
    row = connection.execute(f"SELECT {STREAM_COLUMNS} FROM stream").fetchone()
    stream = None if row is None else read_stream(row)
    groups = [
        read_group(row) for row in connection.execute(f"SELECT {GROUP_COLUMNS} FROM groups ORDER BY name")
    ]
    rows = connection.execute("SELECT seq, grp, tries, crc FROM attempts")
    attempts = [read_attempts(row) for row in rows]
    (last,) = connection.execute("SELECT ifnull(max(seq), 0) FROM messages").fetchone()
    if stream is None or stream.last_seq < last:
        raise damaged_failure(path, "its last sequence number is not as written")
    good = [group for group in groups if group is not None]
    tried = {(row[0], row[1]): row[2] for row in attempts if row is not None}
    if len(good) < len(groups) or len(tried) < len(attempts):
        raise damaged_failure(path, "its groups or attempts are not as written")
    (aside,) = connection.execute("SELECT count(*) FROM corrupt").fetchone()
    messages, size, dead = count(connection)
    return OpenedStore(
        stream.stream_id, stream.last_seq, messages, size, dead, good, tried, aside, stream.topic
    )


def count(connection: sqlite3.Connection) -> tuple[int, int, int]:
    """Return the number of messages, the bytes of all rows, and the number of dead letters."""
    sql = f"SELECT count(*), ifnull(sum({SIZE}), 0) FROM"
    messages, size = connection.execute(f"{sql} messages").fetchone()
    dead, dead_size = connection.execute(f"{sql} dead").fetchone()
    return messages, size + dead_size, dead
