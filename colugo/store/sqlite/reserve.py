"""Room on the disk that is kept for the time when there is none."""

import os
from contextlib import suppress
from pathlib import Path

from colugo.store.sqlite.failure import free_bytes

RESERVE_BYTES = 8 * 1024 * 1024
"""Enough to write all of a log of 4 MiB to its database, and to begin another one."""
_SMALL_BYTES = 1024 * 1024
_ZEROS = bytes(_SMALL_BYTES)


class Reserve:
    """A file beside a store's that only takes up room.

    When the disk is full, it is removed, so that messages can be acknowledged, which makes room. New
    messages never get it.

    Args:
        path: of the store.
    """

    def __init__(self, path: Path) -> None:
        self._store = path
        self._path = path.with_name(f"{path.name}-reserve")
        self.held = False

    def take(self) -> bool:
        """Take up the room; whether that was possible."""
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
        """Give it back."""
        with suppress(OSError):  # then it takes room for nothing until the store is opened the next time
            self._path.unlink(missing_ok=True)
        self.held = False

    def allows(self, size: int) -> bool:
        """Whether so many bytes more can be written without a risk for the reserve.

        What is written stands in the log first and then in the database, too.
        """
        return self.take() and (size < _SMALL_BYTES or free_bytes(self._store) > 3 * size)


def _fill(descriptor: int) -> None:
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, RESERVE_BYTES)
        return
    for _ in range(RESERVE_BYTES // len(_ZEROS)):
        os.write(descriptor, _ZEROS)
