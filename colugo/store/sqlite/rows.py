"""The rows of a store's file, each with a checksum of its content."""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple
from zlib import crc32

import msgspec

from colugo.protocol.streams.stream_message import StreamMessage
from colugo.store.base import GroupRecord, StoredDeadLetter

Row = tuple[Any, ...]

_encode = msgspec.msgpack.Encoder().encode

_TABLES = """
CREATE TABLE stream (id INTEGER PRIMARY KEY, stream_id BLOB, last_seq INTEGER, topic TEXT, crc INTEGER);
CREATE TABLE messages (seq INTEGER PRIMARY KEY, key TEXT, headers BLOB, flags INTEGER, sent_ns INTEGER,
                       grp TEXT, crc INTEGER, payload BLOB);
CREATE TABLE groups (name TEXT PRIMARY KEY, durable INTEGER, bindings TEXT, done BLOB, offered INTEGER,
                     flight BLOB, forgotten INTEGER, changed_ms INTEGER, crc INTEGER);
CREATE TABLE attempts (seq INTEGER, grp TEXT, tries INTEGER, crc INTEGER, UNIQUE (seq, grp));
CREATE TABLE dead (seq INTEGER, grp TEXT, key TEXT, headers BLOB, flags INTEGER, sent_ns INTEGER,
                   only_grp TEXT, attempts INTEGER, reason TEXT, traceback TEXT, died_ns INTEGER, crc INTEGER,
                   payload BLOB, UNIQUE (seq, grp));
CREATE TABLE corrupt (seq INTEGER, key, headers, flags, sent_ns, grp, crc, payload)
"""
SCHEMA = tuple(table.strip() for table in _TABLES.split(";"))
"""Payloads come last, so that SQLite can tell their length without reading their overflow pages.

No table is WITHOUT ROWID, so that `salvage` finds all rows in one kind of leaf page.
"""

SIZE = "length(payload) + length(headers) + length(CAST(key AS BLOB))"
"""The bytes that `size_of` counts, in SQL; `length` of a text would count characters."""

MESSAGE_COLUMNS = "seq, key, headers, flags, sent_ns, grp, crc, payload"
STREAM_COLUMNS = "id, stream_id, last_seq, topic, crc"
GROUP_COLUMNS = "name, durable, bindings, done, offered, flight, forgotten, changed_ms, crc"
DEAD_COLUMNS = (
    "seq, grp, key, headers, flags, sent_ns, only_grp, attempts, reason, traceback, died_ns, crc, payload"
)


class StreamRow(NamedTuple):
    """The single row of the table `stream`.

    Attributes:
        stream_id: 8 random bytes.
        last_seq: the highest sequence number that was ever used.
        topic: the stream's topic; empty if unknown.
    """

    stream_id: bytes
    last_seq: int
    topic: str = ""


def message_row(message: StreamMessage) -> Row:
    """Return the row of a message, with its checksum.

    Raises:
        UnicodeEncodeError: if its key or group has a lone surrogate.
    """
    seq, key, headers, payload, flags, sent_ns, group = message
    crc = crc32(payload, crc32(_encode(("message", seq, key, headers, flags, sent_ns, group))))
    return seq, key, headers, flags, sent_ns, group, crc, payload


def read_message(row: Row) -> StreamMessage | None:
    """Return the message of a row whose texts are bytes, or None if the row is damaged."""
    seq, key, headers, flags, sent_ns, group, crc, payload = row
    try:
        message = StreamMessage(seq, key.decode(), headers, payload, flags, sent_ns, group.decode())
        return message if message_row(message)[6] == crc else None
    except (AttributeError, TypeError, UnicodeDecodeError):  # a damaged row may hold values of other types
        return None


def group_row(record: GroupRecord) -> Row:
    """Return the row of a group, with its checksum."""
    bindings = json.dumps([*record.bindings, *record.earlier])
    fields = (
        record.name,
        int(record.durable),
        bindings,
        record.done,
        record.offered,
        record.flight,
        int(record.forgotten),
        record.changed_ms,
    )
    return *fields, _checksum("group", fields)


def read_group(row: Row) -> GroupRecord | None:
    """Return the group of a row, or None if the row is damaged."""
    try:
        fields = (row[0].decode(), row[1], row[2].decode(), *row[3:8])
        if _checksum("group", fields) != row[8]:
            return None
    except (AttributeError, TypeError, UnicodeDecodeError):
        return None
    name, durable, bindings, done, offered, flight, forgotten, changed_ms = fields
    bound = json.loads(bindings)
    return GroupRecord(
        name,
        bool(durable),
        tuple(pattern for pattern in bound if isinstance(pattern, str)),
        done=done,
        offered=offered,
        flight=flight,
        forgotten=bool(forgotten),
        changed_ms=changed_ms,
        earlier=tuple((one[0], tuple(one[1])) for one in bound if not isinstance(one, str)),
    )


def attempts_row(group: str, seq: int, tries: int) -> Row:
    """Return the row with a message's number of attempts, with its checksum."""
    return seq, group, tries, _checksum("attempts", (seq, group, tries))


def read_attempts(row: Row) -> tuple[str, int, int] | None:
    """Return the group, sequence number and attempts of a row, or None if the row is damaged."""
    try:
        seq, group, tries, crc = row[0], row[1].decode(), row[2], row[3]
        return (group, seq, tries) if _checksum("attempts", (seq, group, tries)) == crc else None
    except (AttributeError, TypeError, UnicodeDecodeError):
        return None


def dead_row(letter: StoredDeadLetter) -> Row:
    """Return the row of a dead letter, with its checksum."""
    message = letter.message
    fields = (
        message.seq,
        letter.group,
        message.key,
        message.headers,
        message.flags,
        message.sent_ns,
        message.group,
        letter.attempts,
        letter.reason,
        letter.traceback,
        letter.died_ns,
    )
    return *fields, crc32(message.payload, _checksum("dead", fields)), message.payload


def read_dead(row: Row) -> StoredDeadLetter | None:
    """Return the dead letter of a row, or None if the row is damaged."""
    seq, group, key, headers, flags, sent_ns, only, attempts, reason, traceback, died_ns, crc, payload = row
    try:
        message = StreamMessage(seq, key.decode(), headers, payload, flags, sent_ns, only.decode())
        letter = StoredDeadLetter(
            message, group.decode(), attempts, reason.decode(), traceback.decode(), died_ns
        )
        return letter if dead_row(letter)[11] == crc else None
    except (AttributeError, TypeError, UnicodeDecodeError):
        return None


def stream_row(stream: StreamRow) -> Row:
    """Return the row of the stream, with its checksum."""
    return 1, *stream, _checksum("stream", stream)


def read_stream(row: Row) -> StreamRow | None:
    """Return the content of the stream's row, or None if the row is damaged."""
    try:
        stream = StreamRow(row[1], row[2], row[3].decode())
        return stream if _checksum("stream", stream) == row[4] else None
    except (AttributeError, TypeError, UnicodeDecodeError):
        return None


def _checksum(kind: str, fields: Sequence[Any]) -> int:
    return crc32(_encode((kind, *fields)))
