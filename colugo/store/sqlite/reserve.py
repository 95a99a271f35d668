"""Disk space that is reserved for the time when the disk is full."""

import os
from contextlib import suppress
from pathlib import Path

from colugo.store.sqlite.failure import free_bytes

RESERVE_BYTES = 8 * 1024 * 1024
"""Enough to checkpoint a log of 4 MiB and to begin another one."""
_SMALL_BYTES = 1024 * 1024
_ZEROS = bytes(_SMALL_BYTES)


class Reserve:
    """A file beside the store's that only occupies space.

    When the disk is full, it is removed so that acknowledgements can still be written, which frees space.
    New messages never use it.
    """

    def __init__(self, path: Path) -> None:
        self._store = path
        self._path = path.with_name(f"{path.name}-reserve")
        self.held = False

    def take(self) -> bool:
        """Create the file; return False if there is not enough space."""
        if self.held:
            return True
        try:
            with self._path.open("wb") as file:
                _fill(file.fileno())
        except OSError:
            self.release()
            return False
        self.held = True
        return True

    def release(self) -> None:
        """Remove the file."""
        with suppress(OSError):  # then it occupies space until the store is opened again
            self._path.unlink(missing_ok=True)
        self.held = False

    def allows(self, size: int) -> bool:
        """Return True if this many bytes can be written without using the reserve.

        SQLite writes them twice: to the log, and to the database at a checkpoint.
        """
        return self.take() and (size < _SMALL_BYTES or free_bytes(self._store) > 3 * size)


def _fill(descriptor: int) -> None:
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, RESERVE_BYTES)
        return
    for _ in range(RESERVE_BYTES // len(_ZEROS)):
        os.write(descriptor, _ZEROS)
