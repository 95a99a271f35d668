"""A place in a file that others append to, rename, copy and truncate."""

import hashlib
import os
import stat
from pathlib import Path
from typing import Annotated

import msgspec

_KNOWN_BYTES = 256
"""The bytes at the beginning, and before the place, that a file is recognised by."""
_LAST_BYTES = 65_536


class SavedPosition(msgspec.Struct, kw_only=True, frozen=True):
    """A place in a file, as it is remembered.

    Attributes:
        path: the path of the file that is followed.
        inode: the number of the file that was read.
        offset: the bytes that have been read; with 0, all lines since `modified_ns` are unread.
        head: the SHA-256 of its first bytes, at most 256 and at most `offset`.
        tail: the same of the bytes before the offset.
        modified_ns: the time of its last change, nanoseconds since 1970.
        is_copy: True if the file is a copy of the one that is followed, which was truncated.
    """

    path: str
    inode: int = 0
    offset: Annotated[int, msgspec.Meta(ge=0)] = 0
    head: str = ""
    tail: str = ""
    modified_ns: int
    is_copy: bool = False


class FilePosition:
    """An open file, and the place up to which its lines have been taken, at first its beginning.

    Raises:
        OSError: if it cannot be opened, or is not a regular file.
    """

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # else a FIFO would wait
        if not stat.S_ISREG(self.status.st_mode):
            self.close()
            raise OSError(f"{path} is not a regular file")
        self.offset = 0
        self._head = self._tail = b""

    @property
    def status(self) -> os.stat_result:
        """The status of the file."""
        return os.fstat(self._fd)

    @property
    def inode(self) -> int:
        """The number of the file."""
        return self.status.st_ino

    def read(self, size: int) -> bytes:
        """Return bytes that follow the place, which stays."""
        return os.pread(self._fd, size, self.offset)

    def advance(self, data: bytes) -> None:
        """Move the place behind bytes that have been read."""
        self.offset += len(data)
        if len(self._head) < _KNOWN_BYTES:
            self._head = (self._head + data)[:_KNOWN_BYTES]
        self._tail = (self._tail + data)[-_KNOWN_BYTES:]

    def move_to_end(self) -> None:
        """Move the place behind the last complete line."""
        size = self.status.st_size
        start = max(0, size - _LAST_BYTES)
        end = os.pread(self._fd, size - start, start).rfind(b"\n")
        self._move(size if end < 0 and start else start + end + 1)

    def is_intact(self) -> bool:
        """Return False if what was read is not in the file any more: it has been truncated."""
        return (
            os.pread(self._fd, len(self._head), 0) == self._head
            and os.pread(self._fd, len(self._tail), self.offset - len(self._tail)) == self._tail
        )

    def place(self, path: Path, *, is_copy: bool = False) -> SavedPosition:
        """Return the place, to remember it."""
        status = self.status
        return SavedPosition(
            path=str(path),
            inode=status.st_ino,
            offset=self.offset,
            head=_digest(self._head),
            tail=_digest(self._tail),
            modified_ns=status.st_mtime_ns,
            is_copy=is_copy,
        )

    def fits(self, place: SavedPosition) -> bool:
        """Return True if a remembered place is in this file, and move there."""
        if self.status.st_size < place.offset:
            return False
        self._move(place.offset)
        return (_digest(self._head), _digest(self._tail)) == (place.head, place.tail)

    def close(self) -> None:
        """Close the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _move(self, offset: int) -> None:
        self.offset, size = offset, min(_KNOWN_BYTES, offset)
        self._head, self._tail = os.pread(self._fd, size, 0), os.pread(self._fd, size, offset - size)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
