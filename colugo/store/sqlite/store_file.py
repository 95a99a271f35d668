"""A store's file: checked and opened."""

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
from colugo.store.sqlite.wal import WalState, log_path, log_state

Durability = Literal["full", "os"]

_SYNCHRONOUS = {"full": "FULL", "os": "NORMAL"}


class StoreFile:
    """An open file, which is this object's alone until it is closed.

    Args:
        path: of the file; it is made if it is not there.
        durability: `"full"`: what was committed has been synced; `"os"`: it has been written.
        logger: hears of what may be missing.
        topic: of the stream, for a file that is made.

    Raises:
        ConfigurationError: if there is no such durability.
        StoreError: if it cannot be opened, or is not a store, or damaged.
    """

    def __init__(self, path: Path, durability: Durability, logger: logging.Logger, topic: str = "") -> None:
        if durability not in _SYNCHRONOUS:
            raise ConfigurationError(f"durability is 'full' or 'os', not {durability!r}")
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
            # A damaged name in SQLite's own error text, which Python's module cannot read.
            self._disclaim()
            raise damaged_failure(path, "its schema is not as it was written") from error
        except OSError as error:
            self._disclaim()
            raise file_failure(path, error) from error
        except BaseException:
            self._disclaim()
            raise

    def close(self) -> None:
        """Write all to the one file, and close it."""
        try:
            with closing(self.connection):
                self.write_log()
        finally:
            self._disclaim()

    def write_log(self) -> None:
        """Write all to the one file, and give the log's room back."""
        self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def abandon(self) -> None:
        """Close it as it is."""
        self.connection.close()
        self._disclaim()

    def _disclaim(self) -> None:
        if self._identity is not None:
            disclaim(self._identity)
            self._identity = None


def _check(path: Path, durability: Durability, logger: logging.Logger) -> None:
    """Look whether it is a store and its log is whole, before SQLite takes the log as it is."""
    with held(path, "r+b") as file:
        check_header(file.read(HEADER_BYTES), path)
        state = log_state(path)
    if state is WalState.DAMAGED and durability == "full":
        raise damaged_failure(
            path, f"{log_path(path).name}, with its last transactions, is not as it was written"
        )
    if state is not WalState.WHOLE:
        logger.warning(
            "the store %s ended within a transaction, which is lost: a power failure does that, and then it "
            "was not confirmed as synced; or %s is damaged",
            path,
            log_path(path).name,
        )


def _connect(path: Path) -> sqlite3.Connection:
    uri = f"file:{quote(str(path.absolute()))}?mode=rw"
    connection = sqlite3.connect(
        uri, uri=True, isolation_level=None, timeout=BUSY_S, check_same_thread=False, cached_statements=64
    )
    # Damaged text need not be UTF-8.
    connection.text_factory = bytes
    return connection


def _prepare(connection: sqlite3.Connection, path: Path, durability: Durability) -> None:
    """Lock it, look whether it is whole, and set how it is written."""
    for pragma in (
        # Before the first look at the file: then the log's index is in memory, not in a file.
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
    # Raises if somebody has it, and if it cannot be written.
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("ROLLBACK")
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != b"wal":
        raise StoreError(
            f"the store {path} is on a file system that cannot hold SQLite's log (journal_mode {mode})"
        )
    (finding,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if finding != b"ok":
        raise damaged_failure(path, finding.decode(errors="replace"))
    tables = connection.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY rowid")
    if [sql for (sql,) in tables] != [table.encode() for table in SCHEMA]:
        raise damaged_failure(path, "its schema is not as it was written")
