"""Exclusive use of a store's file, within this process and between processes."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import BinaryIO, Literal

from colugo.store.sqlite.failure import locked_failure

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

BUSY_S = 0.5
"""How long to wait for a program that is just ending, or only inspecting the file."""
_POLL_S = 0.01
_LOCK_AT = 0x40000002
_LOCK_BYTES = 510
"""The bytes that SQLite locks to read or write: https://www.sqlite.org/src/file/src/os_unix.c."""

Identity = tuple[int, int]
"""Device and inode."""

_claimed: set[Identity] = set()
"""The files that this process has open.

A process loses its POSIX locks on a file when it closes any descriptor of it. Never open such a file again.
"""
_claimed_lock = Lock()


def claim(path: Path) -> Identity:
    """Claim a file for one user in this process.

    Raises:
        StoreError: if the file is claimed already.
        OSError: if it does not exist.
    """
    found = path.stat()
    identity = found.st_dev, found.st_ino
    with _claimed_lock:
        if identity in _claimed:
            raise locked_failure(path)
        _claimed.add(identity)
    return identity


def disclaim(identity: Identity) -> None:
    """Release a claimed file."""
    with _claimed_lock:
        _claimed.discard(identity)


@contextmanager
def held(path: Path, mode: Literal["rb", "r+b"]) -> Iterator[BinaryIO]:
    """Open a claimed file to inspect it, with a lock that keeps other processes from writing to it.

    The mode `"r+b"` also checks that the file is writable.

    Raises:
        StoreError: if another process holds the lock.
        OSError: if the file cannot be opened.
    """
    with path.open(mode) as file:
        _lock(file, path)
        yield file


def _lock(file: BinaryIO, path: Path) -> None:
    if fcntl is None:
        return
    deadline = time.monotonic() + BUSY_S
    while True:
        try:
            fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB, _LOCK_BYTES, _LOCK_AT)
        except OSError:
            if time.monotonic() > deadline:
                raise locked_failure(path) from None
            time.sleep(_POLL_S)
        else:
            return
