"""Rows that are not as they were written: they are put aside, and never handed out."""

import sqlite3
from dataclasses import replace
from typing import NamedTuple

from colugo.store.sqlite.row_writer import RowTotals
from colugo.store.sqlite.rows import SIZE

# Everything that is put together here is a constant of this package.
# ruff: noqa: S608

_COLUMNS = "seq, key, headers, flags, sent_ns, grp, crc, payload"


class Damaged(NamedTuple):
    """Which rows were found damaged.

    Attributes:
        messages: numbers of messages.
        dead: row ids of dead letters.
    """

    messages: list[int]
    dead: list[int]


def move_aside(connection: sqlite3.Connection, damaged: Damaged, totals: RowTotals) -> RowTotals:
    """Move damaged rows to a table of their own, within a transaction of the caller's.

    Returns:
        What is in the file then.
    """
    count, size, dead = totals.count, totals.size, totals.dead
    for table, ids in (("messages", damaged.messages), ("dead", damaged.dead)):
        for number in ids:
            length = connection.execute(
                f"SELECT ifnull({SIZE}, 0) FROM {table} WHERE rowid = ?", (number,)
            ).fetchone()
            if length is None:
                continue
            connection.execute(
                f"INSERT INTO corrupt ({_COLUMNS}) SELECT {_COLUMNS} FROM {table} WHERE rowid = ?", (number,)
            )
            connection.execute(f"DELETE FROM {table} WHERE rowid = ?", (number,))
            size -= length[0]
            count -= table == "messages"
            dead -= table == "dead"
    return replace(totals, count=count, size=size, dead=dead)
