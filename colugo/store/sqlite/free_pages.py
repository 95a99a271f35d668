"""The pages of a store's file that hold nothing: what they are good for, and when they go."""

import sqlite3

from colugo.store.sqlite.wal import PAGE_BYTES

_SPARE_PAGES = 64
_SHRINK_BYTES = 64 * 1024 * 1024
_LIVE_BYTES = 8 * 1024 * 1024


def free_pages(connection: sqlite3.Connection) -> int:
    """How many pages of the file hold nothing."""
    (number,) = connection.execute("PRAGMA freelist_count").fetchone()
    return int(number)


def has_pages(connection: sqlite3.Connection, size: int) -> bool:
    """Whether so many bytes of messages fit into pages of the file that hold nothing."""
    return free_pages(connection) > 2 * (size // PAGE_BYTES) + _SPARE_PAGES


def is_mostly_empty(connection: sqlite3.Connection, live: int) -> bool:
    """Whether the file is worth being written anew, and that takes little time.

    SQLite keeps the pages of deleted rows for new ones. `auto_vacuum` would move pages at each commit, of
    which a stream has many; so a file is written anew when a backlog has been handled.

    Args:
        connection: to the file.
        live: bytes that are in use.
    """
    return live <= _LIVE_BYTES and free_pages(connection) * PAGE_BYTES >= _SHRINK_BYTES


def shrink(connection: sqlite3.Connection) -> None:
    """Write the file anew without these pages."""
    connection.execute("VACUUM")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
