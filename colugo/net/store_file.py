"""A store's file: made, checked and opened."""

import logging
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from colugo.errors import ConfigurationError, StoreError
from colugo.net.store_failure import damaged_failure, locked_failure, store_failure
from colugo.net.store_log import PAGE_BYTES, LogState, log_path, log_state
from colugo.net.store_rows import SCHEMA, StreamRow, stream_row

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

Durability = Literal["full", "os"]

APPLICATION_ID = 0x636F6C75
"""`colu`: SQLite keeps it in the file's header, and `file` shows it."""
LAYOUT = 1
_MAGIC = b"SQLite format 3\0"
_HEADER_BYTES = 100
_LAYOUT_AT = 60
_APPLICATION_AT = 68
_LOCK_AT = 0x40000002
_LOCK_BYTES = 510
"""What SQLite locks of a file that it reads or writes: https://www.sqlite.org/src/file/src/os_unix.c."""
_BUSY_S = 0.5
"""A program that has just ended, or only looks, is waited for."""
_SYNCHRONOUS = {"full": "FULL", "os": "NORMAL"}

_open: set[tuple[int, int]] = set()
"""Device and inode of the files that this process has open.

POSIX takes a process's locks of a file away when it closes any descriptor of it: so one that is open must
not even be looked into.
"""
_open_lock = threading.Lock()


class StoreFile:
    """An open file, which is this object's alone until it is closed.

    Args:
        path: of the file; it is made if it is not there.
        durability: `"full"`: what was committed has been synced; `"os"`: it has been written.
        logger: hears of what may be missing.

    Raises:
        ConfigurationError: if there is no such durability.
        StoreError: if it cannot be opened, or is not a store, or damaged.
    """

    def __init__(self, path: Path, durability: Durability, logger: logging.Logger) -> None:
        if durability not in _SYNCHRONOUS:
            raise ConfigurationError(f"durability is 'full' or 'os', not {durability!r}")
        self.path = path
        self._identity: tuple[int, int] | None = None
        try:
            if not path.exists():
                create(path)
            self._identity = _claim(path)
            _check_header(path)
            self.connection = _connect(path)
            try:
                _prepare(self.connection, path, durability, logger)
            except BaseException:
                self.connection.close()
                raise
        except sqlite3.Error as error:
            self._disclaim()
            raise store_failure(path, error) from error
        except OSError as error:
            self._disclaim()
            raise StoreError(f"the store {path} cannot be opened: {error.strerror}") from error
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
            with _open_lock:
                _open.discard(self._identity)
            self._identity = None


def create(path: Path) -> None:
    """Make an empty store, whole or not at all.

    It is made under another name: an empty file of the right one would look like a store that has lost all.

    Args:
        path: of the file, which must not be there.

    Raises:
        StoreError: if a file is there, or a log without its file.
        OSError: if it cannot be made.
        sqlite3.Error: likewise.
    """
    log = log_path(path)
    if log.exists():
        raise StoreError(
            f"the store {path} is not there, but {log.name} is, which holds part of it: put the file back, "
            "or remove the other to begin anew"
        )
    draft = path.with_name(f"{path.name}-new-{os.getpid()}-{threading.get_ident()}")
    draft.unlink(missing_ok=True)
    try:
        with closing(sqlite3.connect(draft, isolation_level=None)) as connection:
            # The journal need not be on the disk before all is.
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {LAYOUT}")
            connection.executescript(f"BEGIN; {SCHEMA} COMMIT")
            row = stream_row(StreamRow(os.urandom(8), 0))
            connection.execute("INSERT INTO stream VALUES (?, ?, ?, ?)", row)
            connection.execute("PRAGMA journal_mode = WAL")
        _name(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def _name(draft: Path, path: Path) -> None:
    """Give it its name, and have the name on the disk, too."""
    try:
        os.link(draft, path)
    except FileExistsError:  # another node was faster: its file is opened, or found in use
        return
    except OSError:  # a file system without links
        if not path.exists():
            draft.rename(path)
    if os.name != "posix":
        return
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _claim(path: Path) -> tuple[int, int]:
    found = path.stat()
    identity = found.st_dev, found.st_ino
    with _open_lock:
        if identity in _open:
            raise locked_failure(path)
        _open.add(identity)
    return identity


@contextmanager
def sole_reader(path: Path) -> Iterator[None]:
    """Keep everybody from opening a file, which is only read.

    Raises:
        StoreError: if it is open.
        OSError: if it cannot be read.
    """
    identity = _claim(path)
    try:
        with path.open("rb") as file:
            if fcntl is not None:
                try:
                    fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB, _LOCK_BYTES, _LOCK_AT)
                except OSError:
                    raise locked_failure(path) from None
            yield
    finally:
        with _open_lock:
            _open.discard(identity)


def _check_header(path: Path) -> None:
    """See that it is a store's file before SQLite touches it."""
    if not path.is_file():
        raise StoreError(f"the store {path} is not a file")
    with path.open("rb") as file:
        header = file.read(_HEADER_BYTES)
    if not header:
        raise StoreError(
            f"the store {path} is an empty file, which no store ever is: if it has lost nothing, remove "
            "it to begin anew"
        )
    if header[: len(_MAGIC)] != _MAGIC or len(header) < _HEADER_BYTES:
        raise StoreError(
            f"{path} is not a store: it is no SQLite file; if it was a store once, it is damaged, and "
            f"what can be read is copied by: colugo stream salvage {path} NEW"
        )
    application = int.from_bytes(header[_APPLICATION_AT : _APPLICATION_AT + 4])
    if application != APPLICATION_ID:
        raise StoreError(
            f"{path} is not a store: it is an SQLite file of another program (application id {application})"
        )
    layout = int.from_bytes(header[_LAYOUT_AT : _LAYOUT_AT + 4])
    if layout != LAYOUT:
        raise StoreError(
            f"the store {path} has layout {layout}, and this version of colugo knows layout {LAYOUT}: open "
            "it with the version that made it"
        )


def _connect(path: Path) -> sqlite3.Connection:
    uri = f"file:{quote(str(path.absolute()))}?mode=rw"
    connection = sqlite3.connect(
        uri, uri=True, isolation_level=None, timeout=_BUSY_S, check_same_thread=False, cached_statements=64
    )
    # Damaged text need not be UTF-8.
    connection.text_factory = bytes
    return connection


def _prepare(
    connection: sqlite3.Connection, path: Path, durability: Durability, logger: logging.Logger
) -> None:
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
    state = log_state(path)
    if state is LogState.DAMAGED and durability == "full":
        raise damaged_failure(
            path, f"{log_path(path).name}, with its last transactions, is not as it was written"
        )
    if state is not LogState.WHOLE:
        logger.warning(
            "the store %s ended within a transaction, which is lost: a power failure does that, and then it "
            "was not confirmed as synced; or %s is damaged",
            path,
            log_path(path).name,
        )
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != b"wal":
        raise StoreError(
            f"the store {path} is on a file system that cannot hold SQLite's log (journal_mode {mode})"
        )
    (finding,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if finding != b"ok":
        raise damaged_failure(path, finding.decode(errors="replace"))
