"""What went wrong with a store's file, in words that say what to do."""

import errno
import os
import sqlite3
from pathlib import Path

from colugo.errors import StoreError

_FULL = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE}
"""A quota or a limit of the file's size is reported as an error of writing."""
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_LOCKED = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_UNWRITABLE = {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM}


def _code(error: Exception) -> int:
    return getattr(error, "sqlite_errorcode", 0)


def is_full(error: Exception) -> bool:
    """Whether there is no room for what was to be written."""
    return _code(error) in _FULL


def store_failure(path: Path, error: Exception) -> StoreError:
    """The error to raise for one of SQLite's."""
    code = _code(error) & 0xFF
    if is_full(error):
        return full_failure(path)
    if code in _DAMAGED:
        return damaged_failure(path, str(error))
    if code in _LOCKED:
        return locked_failure(path)
    if code in _UNWRITABLE:
        return _unwritable_failure(path, str(error))
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    return StoreError(f"the store {path} failed: {error} ({name})")


def file_failure(path: Path, error: OSError) -> StoreError:
    """The error to raise for one of the system's."""
    if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
        return _unwritable_failure(path, str(error.strerror))
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return full_failure(path)
    return StoreError(f"the store {path} cannot be opened: {error.strerror}")


def _unwritable_failure(path: Path, what: str) -> StoreError:
    return StoreError(
        f"the store {path} cannot be written ({what}): it and its folder must be writable, for SQLite keeps "
        f"{path.name}-wal beside it"
    )


def full_failure(path: Path) -> StoreError:
    """No room for what was to be written."""
    return StoreError(
        f"the store {path} has no room: {free_bytes(path)} bytes are free on its disk; make some, or "
        "acknowledge messages"
    )


def locked_failure(path: Path) -> StoreError:
    """Somebody else has it."""
    return StoreError(
        f"the store {path} is open in another node or program: only one at a time can use it; what a running "
        "node has in it is shown by colugo stream without --store"
    )


def damaged_failure(path: Path, what: str) -> StoreError:
    """The file is not as it was written."""
    return StoreError(
        f"the store {path} is damaged: {what}. It is left as it is; what can be read of it is copied by: "
        f"colugo stream salvage {path} {path.with_name(f'{path.stem}-salvaged{path.suffix}')}"
    )


def free_bytes(path: Path) -> int:
    """How many bytes are free where the file is; 0 where that cannot be told."""
    try:
        found = os.statvfs(path.parent)
    except (AttributeError, OSError):
        return 0
    return found.f_bavail * found.f_frsize
