"""The files that a rotated log consists of."""

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from colugo.distributor.sources.file_position import FilePosition, SavedPosition

_LOOKS = 10


class Generations:
    """A file that is followed, and the files beside it that it was rotated to.

    Those are named like it, with `.` or `-` and something that begins with a digit, such as `log.1` and
    `log-20240131`. Their order is that of their last change. Compressed ones cannot be read.

    Args:
        path: of the file that is followed.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._name = re.compile(re.escape(path.name) + r"[.-]\d[\d.T:_-]*")

    @property
    def newest(self) -> tuple[int, int] | None:
        """The device and inode of the file that has the name now; None if there is none."""
        status = self._status()
        return None if status is None else (status.st_dev, status.st_ino)

    def after(self, identity: tuple[int, int], modified_ns: int) -> FilePosition | None:
        """Open the generation that follows one, at its beginning.

        Args:
            identity: of the one, its device and inode.
            modified_ns: the last change of the one, which counts if it is not there any more.

        Returns:
            The file; None if it is not there yet, or has just been renamed.
        """
        files = self._list()
        identities = [one for one, _, _ in files]
        if identity in identities:
            following = files[identities.index(identity) + 1 :]
        else:
            following = [one for one in files if one[1] > modified_ns or one[2] == self._path]
        if not following:
            return None
        expected, _, path = following[0]
        position = _open(path)
        if position is not None and position.identity != expected:  # renamed meanwhile
            position.close()
            return None
        return position

    def find(self, place: SavedPosition) -> FilePosition | None:
        """Open the file that a remembered place is in: the same one, whatever its name, or else a copy."""
        files = self._scan()
        same = (path for status, path in files if status.st_ino == place.inode)  # st_dev may change at a boot
        named = sorted(
            (-status.st_mtime_ns, path) for status, path in files if path.name.startswith(self._path.name)
        )
        for path in (*same, *(path for _, path in named if place.offset)):
            position = _open(path)
            if position is not None:
                if position.fits(place):
                    return position
                position.close()
        return None

    def _list(self) -> list[tuple[tuple[int, int], int, Path]]:
        """Return identity, last change and path of each generation, the oldest first."""
        rotated = sorted(
            (status.st_mtime_ns, -_number(path), (status.st_dev, status.st_ino), path)
            for status, path in self._scan()
            if self._name.fullmatch(path.name)
        )
        files = [(identity, modified_ns, path) for modified_ns, _, identity, path in rotated]
        newest = self._status()
        if newest is None:
            return files
        return [*files, ((newest.st_dev, newest.st_ino), newest.st_mtime_ns, self._path)]

    def _status(self) -> os.stat_result | None:
        try:
            return self._path.stat()
        except FileNotFoundError:
            return None

    def _scan(self) -> list[tuple[os.stat_result, Path]]:
        """Return all files of the folder, after looking twice: names change while files are rotated."""
        before: set[tuple[str, int]] | None = None
        files: list[tuple[os.stat_result, Path]] = []
        for _ in range(_LOOKS):
            files = list(self._scan_once())
            named = {
                (path.name, status.st_ino) for status, path in files if path.name.startswith(self._path.name)
            }
            if named == before:
                break
            before = named
        return files

    def _scan_once(self) -> Iterator[tuple[os.stat_result, Path]]:
        try:
            paths = list(self._path.parent.iterdir())
        except FileNotFoundError:
            return
        for path in paths:
            try:
                status = path.stat()
            except OSError:  # removed meanwhile, or a link that leads nowhere
                continue
            if stat.S_ISREG(status.st_mode):
                yield status, path


def _number(path: Path) -> int:
    suffix = path.name.rpartition(".")[2]
    return int(suffix) if suffix.isdecimal() else 0


def _open(path: Path) -> FilePosition | None:
    try:
        return FilePosition.open(path)
    except OSError:  # removed meanwhile, or not ours to read
        return None
