"""What a store's file begins with: made once, and checked before SQLite touches it."""

import os
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

from colugo.errors import StoreError
from colugo.store.sqlite.rows import SCHEMA, StreamRow, stream_row
from colugo.store.sqlite.wal import PAGE_BYTES, log_path

APPLICATION_ID = 0x636F6C75
"""`colu`: SQLite keeps it in the file's header, and `file` shows it."""
LAYOUT = 2
HEADER_BYTES = 100
_MAGIC = b"SQLite format 3\0"
_LAYOUT_AT = 60
_APPLICATION_AT = 68


def create(path: Path, topic: str = "") -> None:
    """Make an empty store, whole or not at all.

    It is made under another name: an empty file of the right one would look like a store that has lost all.

    Args:
        path: of the file, which must not be there.
        topic: of its stream, if that is known.

    Raises:
        StoreError: if its folder is not there, or a log without its file is.
        OSError: if it cannot be made.
        sqlite3.Error: likewise.
    """
    if not path.parent.is_dir():
        raise StoreError(f"the store {path} cannot be made: its folder is not there")
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
            for table in SCHEMA:
                connection.execute(table)
            row = stream_row(StreamRow(os.urandom(8), 0, topic))
            connection.execute("INSERT INTO stream VALUES (?, ?, ?, ?, ?)", row)
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


def check_header(header: bytes, path: Path) -> None:
    """See whether a file is a store's that can be used.

    Args:
        header: its first `HEADER_BYTES`.
        path: of the file.

    Raises:
        StoreError: if not.
    """
    if not header:
        raise StoreError(
            f"the store {path} is an empty file, which no store ever is: if it has lost nothing, remove "
            "it to begin anew"
        )
    if header[: len(_MAGIC)] != _MAGIC or len(header) < HEADER_BYTES:
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
