"""The creation of a store's file, and the check of its header before SQLite touches it."""

import os
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

from colugo.errors import StoreError
from colugo.store.sqlite.rows import SCHEMA, StreamRow, stream_row
from colugo.store.sqlite.wal import PAGE_BYTES, log_path

APPLICATION_ID = 0x636F6C75
"""`colu`: SQLite keeps it in the file's header, and the command `file` shows it."""
LAYOUT = 2
HEADER_BYTES = 100
_MAGIC = b"SQLite format 3\0"
_LAYOUT_AT = 60
_APPLICATION_AT = 68


def create(path: Path, topic: str = "") -> None:
    """Create an empty store atomically.

    The file is created under another name first: an incomplete file of the right name would look like a
    store that has lost everything.

    Raises:
        StoreError: if the folder does not exist, or if a log exists without its file.
        OSError: if the file cannot be created.
        sqlite3.Error: likewise.
    """
    if not path.parent.is_dir():
        raise StoreError(f"the store {path} cannot be created: its folder does not exist")
    log = log_path(path)
    if log.exists():
        raise StoreError(
            f"the store {path} does not exist, but {log.name}, which holds part of it, does: restore the "
            "file, or remove the log to start with an empty store"
        )
    draft = path.with_name(f"{path.name}-new-{os.getpid()}-{threading.get_ident()}")
    draft.unlink(missing_ok=True)
    try:
        with closing(sqlite3.connect(draft, isolation_level=None)) as connection:
            # not EXTRA: the draft's rollback journal need not survive a power failure
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {LAYOUT}")
            for table in SCHEMA:
                connection.execute(table)
            row = stream_row(StreamRow(os.urandom(8), 0, topic))
            connection.execute("INSERT INTO stream VALUES (?, ?, ?, ?, ?)", row)
            connection.execute("PRAGMA journal_mode = WAL")
        _name(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def _name(draft: Path, path: Path) -> None:
    """Give the file its name, and sync the name to the disk."""
    try:
        os.link(draft, path)
    except FileExistsError:  # another node was faster: open its file, or find it in use
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


def check_header(header: bytes, path: Path) -> None:
    """Check the first `HEADER_BYTES` of a file; raise `StoreError` if it is not a store of this version."""
    if not header:
        raise StoreError(
            f"the store {path} is an empty file, which is not a valid store; if no messages are lost, remove "
            "it to start with an empty store"
        )
    if header[: len(_MAGIC)] != _MAGIC or len(header) < HEADER_BYTES:
        raise StoreError(
            f"{path} is not a store: it is no SQLite file. If it was a store before, it is damaged; copy "
            f"what is readable with: colugo stream salvage {path} NEW"
        )
    application = int.from_bytes(header[_APPLICATION_AT : _APPLICATION_AT + 4])
    if application != APPLICATION_ID:
        raise StoreError(
            f"{path} is not a store: it is an SQLite file of another program (application id {application})"
        )
    layout = int.from_bytes(header[_LAYOUT_AT : _LAYOUT_AT + 4])
    if layout != LAYOUT:
        raise StoreError(
            f"the store {path} has layout {layout}, but this version of colugo supports layout {LAYOUT}: "
            "open it with the version that created it"
        )
