"""The file of a store: checking, opening, and its free pages."""

import logging
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from colugo.errors import ConfigurationError, StoreError
from colugo.store.sqlite.creation import HEADER_BYTES, check_header, create
from colugo.store.sqlite.failure import damaged_failure, file_failure, store_failure
from colugo.store.sqlite.lock import BUSY_S, Identity, claim, disclaim, held
from colugo.store.sqlite.rows import SCHEMA
from colugo.store.sqlite.wal import PAGE_BYTES, WalState, log_path, log_state

Durability = Literal["full", "os"]

_SYNCHRONOUS = {"full": "FULL", "os": "NORMAL"}
_SPARE_PAGES = 64
_SHRINK_BYTES = 64 * 1024 * 1024
_LIVE_BYTES = 8 * 1024 * 1024


class StoreFile:
    """An open file, used exclusively until it is closed.

    Args:
        path: the file, which is created if it does not exist.
        durability: `"full"` syncs each commit to the disk; `"os"` only writes it.
        topic: the stream's topic, for a new file.

    Raises:
        ConfigurationError: if the durability is unknown.
        StoreError: if the file cannot be opened, is not a store, or is damaged.
    """

    def __init__(self, path: Path, durability: Durability, logger: logging.Logger, topic: str = "") -> None:
        if durability not in _SYNCHRONOUS:
            raise ConfigurationError(f"durability must be 'full' or 'os', not {durability!r}")
        self.path = path
        self._identity: Identity | None = None
        try:
            if not path.exists():
                create(path, topic)
            self._identity = claim(path)
            _check(path, durability, logger)
            self.connection = _connect(path)
            try:
                _prepare(self.connection, path, durability)
            except BaseException:
                self.connection.close()
                raise
        except sqlite3.Error as error:
            self._disclaim()
            raise store_failure(path, error) from error
        except UnicodeDecodeError as error:
            # SQLite's error text contains a damaged name, which Python's module cannot decode
            self._disclaim()
            raise damaged_failure(path, "its schema is not as written") from error
        except OSError as error:
            self._disclaim()
            raise file_failure(path, error) from error
        except BaseException:
            self._disclaim()
            raise

    def close(self) -> None:
        """Write the log to the database, and close the file."""
        try:
            with closing(self.connection):
                self.write_log()
        finally:
            self._disclaim()

    def write_log(self) -> None:
        """Write the log to the database, and truncate the log."""
        self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def abandon(self) -> None:
        """Close the file without writing anything."""
        self.connection.close()
        self._disclaim()

    def has_free_pages(self, size: int) -> bool:
        """Return True if messages of this many bytes fit into free pages of the file."""
        return self._free_pages() > 2 * (size // PAGE_BYTES) + _SPARE_PAGES

    def is_mostly_empty(self, live: int) -> bool:
        """Return True if rewriting the file is worthwhile and quick.

        SQLite keeps the pages of deleted rows for new ones. `auto_vacuum` would move pages at each of a
        stream's many commits; instead, the file is rewritten when a backlog has been handled: few bytes are
        live then.
        """
        return live <= _LIVE_BYTES and self._free_pages() * PAGE_BYTES >= _SHRINK_BYTES

    def shrink(self) -> None:
        """Rewrite the file without its free pages."""
        self.connection.execute("VACUUM")
        self.write_log()

    def _free_pages(self) -> int:
        (number,) = self.connection.execute("PRAGMA freelist_count").fetchone()
        return int(number)

    def _disclaim(self) -> None:
        if self._identity is not None:
            disclaim(self._identity)
            self._identity = None


def _check(path: Path, durability: Durability, logger: logging.Logger) -> None:
    """Check that the file is a store with a complete log, before SQLite silently accepts the log."""
    with held(path, "r+b") as file:
        check_header(file.read(HEADER_BYTES), path)
        state = log_state(path)
    if state is WalState.DAMAGED and durability == "full":
        raise damaged_failure(path, f"{log_path(path).name}, with its last transactions, is not as written")
    if state is not WalState.WHOLE:
        logger.warning(
            "the last transaction of the store %s is incomplete and lost: either a power failure interrupted "
            "it, before it was confirmed as synced, or %s is damaged",
            path,
            log_path(path).name,
        )


def _connect(path: Path) -> sqlite3.Connection:
    uri = f"file:{quote(str(path.absolute()))}?mode=rw"
    connection = sqlite3.connect(
        uri, uri=True, isolation_level=None, timeout=BUSY_S, check_same_thread=False, cached_statements=64
    )
    # damaged text may not be UTF-8
    connection.text_factory = bytes
    return connection


def _prepare(connection: sqlite3.Connection, path: Path, durability: Durability) -> None:
    """Lock the database, check its integrity, and configure how it is written."""
    for pragma in (
        # before the first read: then SQLite keeps the log's index in memory, not in a file
        "locking_mode = EXCLUSIVE",
        f"synchronous = {_SYNCHRONOUS[durability]}",
        f"fullfsync = {int(durability == 'full')}",
        "checkpoint_fullfsync = 1",
        "cell_size_check = 1",
        "secure_delete = 0",
        "temp_store = MEMORY",
        "trusted_schema = 0",
    ):
        connection.execute(f"PRAGMA {pragma}")
    # raises if the database is locked or not writable
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("ROLLBACK")
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != b"wal":
        raise StoreError(
            f"the store {path} is on a file system that does not support SQLite's log (journal_mode {mode})"
        )
    (finding,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if finding != b"ok":
        raise damaged_failure(path, finding.decode(errors="replace"))
    tables = connection.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY rowid")
    if [sql for (sql,) in tables] != [table.encode() for table in SCHEMA]:
        raise damaged_failure(path, "its schema is not as written")
