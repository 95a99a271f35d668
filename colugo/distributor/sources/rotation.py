"""The files that a rotated log consists of."""

import os
import re
import stat
from contextlib import suppress
from pathlib import Path

from colugo.distributor.sources.file_position import FilePosition, SavedPosition

_LOOKS = 10


class Generations:
    """A file that is followed, and the files beside it that it was rotated to.

    Those are named like it, with `.` or `-` and something that begins with a digit, such as `log.1` and
    `log-20240131`. Their order is that of their last change. Compressed ones cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._name = re.compile(re.escape(path.name) + r"[.-]\d[\d.T:_-]*")

    @property
    def newest(self) -> int | None:
        """The inode of the file that has the name now; None if there is none."""
        try:
            return self._path.stat().st_ino
        except FileNotFoundError:
            return None

    def after(self, inode: int, modified_ns: int) -> FilePosition | None:
        """Open the generation that follows one, at its beginning; one that was rotated empty is left out.

        Args:
            inode: of the one.
            modified_ns: the last change of the one, which counts if it is not there any more.

        Returns:
            The file; None if it is not there yet, or has just been renamed.
        """
        files = self._list()
        inodes = [status.st_ino for status, _ in files]
        if inode in inodes:
            following = files[inodes.index(inode) + 1 :]
        else:
            following = [one for one in files if one[0].st_mtime_ns > modified_ns or one[1] == self._path]
        following = [one for one in following if one[0].st_size or one[1] == self._path]
        if not following:
            return None
        status, path = following[0]
        position = _open(path)
        if position is not None and position.inode != status.st_ino:  # renamed meanwhile
            position.close()
            return None
        return position

    def find(self, place: SavedPosition) -> FilePosition | None:
        """Open the file that a remembered place is in: the same one, whatever its name, or else a copy."""
        files = self._scan()
        same = [path for status, path in files if status.st_ino == place.inode]
        named = [one for one in files if one[1].name.startswith(self._path.name)]
        named.sort(key=lambda one: one[0].st_mtime_ns, reverse=True)
        for path in (*same, *(path for _, path in named)):
            position = _open(path)
            if position is not None:
                if position.fits(place):
                    return position
                position.close()
        return None

    def _list(self) -> list[tuple[os.stat_result, Path]]:
        """Return the generations, the oldest first."""
        files = [one for one in self._scan() if self._name.fullmatch(one[1].name)]
        files.sort(key=lambda one: (one[0].st_mtime_ns, -_number(one[1])))
        with suppress(FileNotFoundError):
            files.append((self._path.stat(), self._path))
        return files

    def _scan(self) -> list[tuple[os.stat_result, Path]]:
        """Return all files of the folder, after looking twice: names change while files are rotated."""
        before: set[tuple[str, int]] | None = None
        files: list[tuple[os.stat_result, Path]] = []
        for _ in range(_LOOKS):
            files = self._look()
            ours = [one for one in files if one[1].name.startswith(self._path.name)]
            named = {(path.name, status.st_ino) for status, path in ours}
            if named == before:
                break
            before = named
        return files

    def _look(self) -> list[tuple[os.stat_result, Path]]:
        files: list[tuple[os.stat_result, Path]] = []
        with suppress(FileNotFoundError):
            for path in self._path.parent.iterdir():
                with suppress(OSError):  # removed meanwhile, or a link that leads nowhere
                    if stat.S_ISREG((status := path.stat()).st_mode):
                        files.append((status, path))
        return files


def _number(path: Path) -> int:
    suffix = path.name.rpartition(".")[2]
    return int(suffix) if suffix.isdecimal() else 0


def _open(path: Path) -> FilePosition | None:
    try:
        return FilePosition(path)
    except OSError:  # removed meanwhile, or not ours to read
        return None
