"""Errors of a store's file, with texts that say what to do."""

import errno
import os
import sqlite3
from pathlib import Path

from colugo.errors import StoreError

_FULL = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE}
"""SQLite reports an exceeded quota or file size limit as a write error."""
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_LOCKED = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_UNWRITABLE = {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM}


def _code(error: Exception) -> int:
    return getattr(error, "sqlite_errorcode", 0)


def is_full(error: Exception) -> bool:
    """Return True if the disk is full."""
    return _code(error) in _FULL


def store_failure(path: Path, error: Exception) -> StoreError:
    """Return the error to raise for an error of SQLite."""
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
    """Return the error to raise for an error of the operating system."""
    if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
        return _unwritable_failure(path, str(error.strerror))
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return full_failure(path)
    return StoreError(f"the store {path} cannot be opened: {error.strerror}")


def _unwritable_failure(path: Path, what: str) -> StoreError:
    return StoreError(
        f"the store {path} cannot be written ({what}): the file and its folder must be writable, because "
        f"SQLite keeps {path.name}-wal beside it"
    )


def full_failure(path: Path) -> StoreError:
    """Return the error for a full disk."""
    return StoreError(
        f"the store {path} has no room: {free_bytes(path)} bytes are free on its disk; free some space, or "
        "acknowledge messages"
    )


def locked_failure(path: Path) -> StoreError:
    """Return the error for a file that is in use."""
    return StoreError(
        f"the store {path} is open in another node or program; only one at a time can use it. To inspect the "
        "stream of a running node, use colugo stream without --store"
    )


def damaged_failure(path: Path, what: str) -> StoreError:
    """Return the error for a damaged file."""
    return StoreError(
        f"the store {path} is damaged: {what}. The file is left unchanged; copy what is readable with: "
        f"colugo stream salvage {path} {path.with_name(f'{path.stem}-salvaged{path.suffix}')}"
    )


def free_bytes(path: Path) -> int:
    """Return the free bytes on the file's disk; 0 if the system does not tell."""
    try:
        found = os.statvfs(path.parent)
    except (AttributeError, OSError):
        return 0
    return found.f_bavail * found.f_frsize
