"""A store's file is used by one at a time."""

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
"""A program that has just ended, or only looks, is waited for."""
_POLL_S = 0.01
_LOCK_AT = 0x40000002
_LOCK_BYTES = 510
"""What SQLite locks of a file that it reads or writes: https://www.sqlite.org/src/file/src/os_unix.c."""

Identity = tuple[int, int]
"""Device and inode."""

_claimed: set[Identity] = set()
"""The files that this process has open.

POSIX takes a process's locks of a file away when it closes any descriptor of it: so one that is open must
not even be looked into.
"""
_claimed_lock = Lock()


def claim(path: Path) -> Identity:
    """Let nobody else in this process touch a file.

    Raises:
        StoreError: if somebody has it.
        OSError: if it is not there.
    """
    found = path.stat()
    identity = found.st_dev, found.st_ino
    with _claimed_lock:
        if identity in _claimed:
            raise locked_failure(path)
        _claimed.add(identity)
    return identity


def disclaim(identity: Identity) -> None:
    """Let others have it."""
    with _claimed_lock:
        _claimed.discard(identity)


@contextmanager
def held(path: Path, mode: Literal["rb", "r+b"]) -> Iterator[BinaryIO]:
    """Open a claimed file to look into it, while no other process writes to it.

    Args:
        path: of the file.
        mode: to see whether it could be written, too, `"r+b"`.

    Raises:
        StoreError: if another process has it.
        OSError: if it cannot be opened.
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
