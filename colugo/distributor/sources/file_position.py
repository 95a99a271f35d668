"""A place in a file that others append to, rename, copy and truncate."""

import hashlib
import os
import stat
import time
from pathlib import Path
from typing import Annotated, Self

import msgspec

_KNOWN_BYTES = 256
"""The bytes at the beginning, and before the place, that a file is recognised by."""


class SavedPosition(msgspec.Struct, kw_only=True, frozen=True):
    """A place in a file, as it is remembered.

    Attributes:
        path: the path of the file that is followed.
        device: the number of its file system.
        inode: its number there.
        offset: the bytes that have been read.
        head: the SHA-256 of its first bytes, at most 256 and at most `offset`.
        tail: the same of the bytes before the offset.
        modified_ns: the time of its last change, nanoseconds since 1970. If nothing was read, the lines that
            were written after it are missing.
        is_copy: True if the file is a copy of the one that is followed, which was truncated.
    """

    path: str
    device: int
    inode: int
    offset: Annotated[int, msgspec.Meta(ge=0)]
    head: str
    tail: str
    modified_ns: int

    is_copy: bool = False

    @classmethod
    def unread(cls, path: Path, status: os.stat_result | None) -> Self:
        """Return the place before all lines that are written from now on.

        Args:
            path: the path of the file that is followed.
            status: of the file, which has no lines; None if there is no file.
        """
        return cls(
            path=str(path),
            device=status.st_dev if status is not None else 0,
            inode=status.st_ino if status is not None else 0,
            offset=0,
            head=_digest(b""),
            tail=_digest(b""),
            modified_ns=status.st_mtime_ns if status is not None else time.time_ns(),
        )

    @classmethod
    def load(cls, state: Path) -> Self:
        """Read a place from a file.

        Raises:
            OSError: if the file cannot be read.
            msgspec.DecodeError: if it has something else.
        """
        return msgspec.json.decode(state.read_bytes(), type=cls)

    def save(self, state: Path) -> None:
        """Write the place to a file, which is replaced as a whole.

        Raises:
            OSError: if it cannot be written.
        """
        new = state.with_name(f"{state.name}.new")
        new.write_bytes(msgspec.json.encode(self))
        new.replace(state)

    @property
    def identity(self) -> tuple[int, int]:
        """The device and the inode."""
        return self.device, self.inode


class FilePosition:
    """An open file, and the place up to which its lines have been taken.

    Args:
        fd: the open file, which belongs to this object from now on.
        offset: the place, in bytes.
    """

    def __init__(self, fd: int, offset: int = 0) -> None:
        self._fd = fd
        self.offset = 0
        self._head = self._tail = b""
        self.move(offset)

    @classmethod
    def open(cls, path: Path, offset: int = 0) -> Self:
        """Open a file.

        Raises:
            OSError: if it cannot be opened, or is not a regular file.
        """
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # else a FIFO would wait
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise OSError(f"{path} is not a regular file")
        return cls(fd, offset)

    @classmethod
    def at_end(cls, path: Path) -> Self:
        """Open a file, at the end of its last complete line.

        Raises:
            OSError: if it cannot be opened, or is not a regular file.
        """
        position = cls.open(path)
        size = position.status.st_size
        start = max(0, size - 65_536)
        position.move(start)
        end = position.read(size - start).rfind(b"\n")
        position.move(size if end < 0 and start else start + end + 1)
        return position

    @property
    def status(self) -> os.stat_result:
        """The status of the file."""
        return os.fstat(self._fd)

    @property
    def identity(self) -> tuple[int, int]:
        """The device and the inode."""
        status = self.status
        return status.st_dev, status.st_ino

    def read(self, size: int) -> bytes:
        """Return bytes that follow the place, which stays."""
        return os.pread(self._fd, size, self.offset)

    def advance(self, data: bytes) -> None:
        """Move the place behind bytes that have been read."""
        self.offset += len(data)
        if len(self._head) < _KNOWN_BYTES:
            self._head = (self._head + data)[:_KNOWN_BYTES]
        self._tail = (self._tail + data)[-_KNOWN_BYTES:]

    def move(self, offset: int) -> None:
        """Move the place to another one, without reading what is between."""
        self.offset, size = offset, min(_KNOWN_BYTES, offset)
        self._head, self._tail = os.pread(self._fd, size, 0), os.pread(self._fd, size, offset - size)

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
            device=status.st_dev,
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
        self.move(place.offset)
        return (_digest(self._head), _digest(self._tail)) == (place.head, place.tail)

    def close(self) -> None:
        """Close the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
