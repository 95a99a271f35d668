"""The target of a file."""

import os
import threading
from io import FileIO
from logging.handlers import RotatingFileHandler
from typing import Any, ClassVar

from colugo.distributor.per_instance import PerInstance
from colugo.distributor.target_options import UNLIMITED, TargetOptions
from colugo.distributor.targets.payload import as_bytes
from colugo.distributor.threaded_target import ThreadedDistributionTarget
from colugo.errors import ConfigurationError, ConnectionNotDefined


class FileTarget(ThreadedDistributionTarget):
    """Appends each message to a file as one line.

    A line is handed to the system as a whole and at once. A line break within a message becomes a backslash
    and an `n`; a `JsonLinesFormatter` lets readers tell it from one that was there before. While the disk is
    full, messages wait, and no part of a line stays in the file. Nothing else may write to the file.

    Args:
        path: the file; it is made if need be, its folder is not.
        max_bytes: bytes after which the file becomes `PATH.1`, that one `PATH.2`, and so on; 0 for no limit.
        keep: such files that are kept.

    Raises:
        ConfigurationError: if a number is negative, or `keep` is 0 with `max_bytes`.
    """

    default_options: ClassVar = TargetOptions(workers=1, retries=UNLIMITED)
    retry_on: ClassVar = (OSError,)

    path: str | os.PathLike[str] = ""
    max_bytes: int = 0
    keep: int = 5
    _file: "_File | None" = None
    _lock = PerInstance(threading.Lock)

    def __init__(self, path: str | os.PathLike[str], *, max_bytes: int = 0, keep: int = 5) -> None:
        super().__init__(poolsize=1)
        if max_bytes < 0:
            raise ConfigurationError(f"max_bytes must be an integer ≥ 0, not {max_bytes!r}")
        if keep < (1 if max_bytes else 0):
            raise ConfigurationError(f"keep must be an integer ≥ 1 with max_bytes, not {keep!r}")
        self.path = path
        self.max_bytes = max_bytes
        self.keep = keep

    def open(self) -> None:
        """Open the file.

        Raises:
            OSError: if that is not possible; the next message tries again.
            ConnectionNotDefined: if there is no path.
        """
        with self._lock:
            self._opened()

    def _release(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def process(self, message: Any) -> None:
        """Append a line.

        Args:
            message: the message.

        Raises:
            OSError: if the file cannot be written, as when the disk is full.
        """
        line = as_bytes(message).replace(b"\r", b"\\r").replace(b"\n", b"\\n") + b"\n"
        with self._lock:
            self._opened().append(line, self.max_bytes)

    def _opened(self) -> "_File":
        if self._file is None:
            if not os.fspath(self.path):
                raise ConnectionNotDefined(f"{type(self).__name__} needs a path")
            self._file = _File(self.path, backupCount=self.keep)
        return self._file


class _File(RotatingFileHandler):
    """Rotation by the standard library; lines are written here, because `emit` swallows errors."""

    stream: FileIO | None  # type: ignore[assignment]

    def append(self, line: bytes, max_bytes: int) -> None:
        """Write a line, or raise an OSError and write nothing."""
        stream = self._current()
        size = os.fstat(stream.fileno()).st_size
        if max_bytes and size and size + len(line) > max_bytes:
            self.doRollover()
            stream, size = self._current(), 0
        rest = memoryview(line)
        try:
            while rest:
                rest = rest[stream.write(rest) :]
        except OSError:
            if len(rest) < len(line):
                os.ftruncate(stream.fileno(), size)
            raise

    def _current(self) -> FileIO:
        """Return the open file; one that was deleted is made anew."""
        if self.stream is not None and os.fstat(self.stream.fileno()).st_nlink == 0:
            self.stream.close()
            self.stream = None
        if self.stream is None:
            self.stream = self._open()
        return self.stream

    def _open(self) -> FileIO:  # type: ignore[override]
        return FileIO(self.baseFilename, "ab")
