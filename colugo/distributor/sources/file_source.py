"""The source of lines that are appended to a file."""

import asyncio
import inspect
import time
from os import PathLike
from pathlib import Path

import msgspec

from colugo.distributor.sources.file_position import FilePosition, SavedPosition
from colugo.distributor.sources.loop_source import LoopSource
from colugo.distributor.sources.rotation import Generations
from colugo.errors import ConfigurationError
from colugo.patterns.base import check_count

_CHUNK = 65_536
_MOST_BYTES = 64 * 1024 * 1024
_SAVE_S = 1.0
_LINGER_S = 5.0
"""The time for a program that has not opened the new file yet, and still writes to the old one."""


class FileSource(LoopSource):
    """Follows a file that is appended to, like `tail -F`; each line is a message, as text.

    A line counts when its end has come. The file need not exist yet, and may be rotated. If it was renamed,
    and a new one is in its place, the old one is read to its end first. If it was copied and truncated, the
    rest of the copy is read first. Lines that are written between the copy and the truncation are lost, which
    nobody can see: a warning is logged at each truncation.

    With `state`, the source continues at its place after a restart, also if the file was rotated meanwhile:
    each line comes once after `close`, and at least once after a crash. The file is replaced each second
    by renaming, without a sync of the disk.

    Args:
        path: of the file.
        state: the path of a file for the place; None to keep none.
        from_start: True to begin with the first line of a file that is there already, False with the next
            line that is written. A known place counts instead.
        poll_ms: milliseconds between two looks at the file.

    Raises:
        ConfigurationError: if `poll_ms` is not an integer ≥ 1.
    """

    def __init__(
        self,
        path: str | PathLike[str],
        *,
        state: str | PathLike[str] | None = None,
        from_start: bool = False,
        poll_ms: int = 200,
    ) -> None:
        super().__init__()
        self._path = Path(path).absolute()
        self._state = None if state is None else Path(state).absolute()
        self._at_end = not from_start
        self._poll_s = check_count("poll_ms", poll_ms) / 1000
        self._generations = Generations(self._path)
        self._position: FilePosition | None = None
        self._place: SavedPosition | None = None
        """The place to begin at, while no file is open."""
        self._is_copy = False
        self._waiting: tuple[float, int] | None = None
        self._saved: SavedPosition | None = None
        self._saved_s = 0.0

    @property
    def label(self) -> str:
        """The name in logs and of the task."""
        return f"{type(self).__name__} {self._path}"

    async def listen(self) -> None:
        """Read lines until the task is cancelled."""
        while True:
            if self._position is None and (begun := self._begin()) is not None:
                self._position, self._place = begun, None
            position = self._position
            if position is not None:
                await self._read_lines(position)
                if self._position is position:
                    await self._turn(position)
            if time.monotonic() - self._saved_s >= _SAVE_S:
                self._save()
            if self._position is position:
                await asyncio.sleep(self._poll_s)

    def _acquire(self) -> None:
        """Read the state.

        Raises:
            ConfigurationError: if it is that of another file.
        """
        if self._position is None:
            self._place = self._load()

    def _release(self) -> None:
        self._save()
        if self._position is not None:
            self._position.close()
        self._position = self._place = None

    async def _read_lines(self, position: FilePosition) -> None:
        """Hand over the complete lines that follow the place."""
        while True:
            data = self._read_complete(position)
            # Checked after reading: then what was read is of the file that was known.
            if not position.is_intact():
                self._recover(position)
                return
            if not data:
                return
            *lines, rest = data.split(b"\n")
            for line in lines:
                await self._take(position, line + b"\n")
            if rest:  # of a line that is divided
                await self._take(position, rest)
            await asyncio.sleep(0)

    def _read_complete(self, position: FilePosition) -> bytes:
        """Return the bytes of at least one complete line, or nothing."""
        size = _CHUNK
        while True:
            data = position.read(size)
            if end := data.rfind(b"\n") + 1:
                return data[:end]
            if len(data) < size:
                return b""
            if size >= _MOST_BYTES:
                self.malformed += 1
                self._warn(None, "a line of more than %d bytes is divided", _MOST_BYTES)
                return data
            size = min(4 * size, _MOST_BYTES)

    async def _take(self, position: FilePosition, line: bytes) -> None:
        waits = self.emit(self.decode(line.removesuffix(b"\n").removesuffix(b"\r")))
        # A coroutine takes the message when it is awaited; anything else has taken it, and waits for room
        # only. The place has to be right if close() ends the wait.
        if inspect.iscoroutine(waits):
            await waits
            position.advance(line)
        else:
            position.advance(line)
            await waits

    def _begin(self) -> FilePosition | None:
        """Open the file at the place that is known, or else at its end or beginning."""
        place = self._place
        if place is None:
            return self._begin_anew()
        if place.offset:
            position = self._generations.find(place)
            if position is not None:
                self._is_copy = place.is_copy
                if position.inode != place.inode:
                    self._report_copy()
                return position
            text = "the file that was read is gone or truncated; its lines after %d bytes are lost"
            self._warn(None, text, place.offset)
            place = self._place = msgspec.structs.replace(place, offset=0)
        return self._open_unread(place)

    def _begin_anew(self) -> FilePosition | None:
        try:
            position = FilePosition(self._path)
        except FileNotFoundError:
            self._place = SavedPosition(path=str(self._path), modified_ns=time.time_ns())
            self.logger.info("%s does not exist yet", self.label)
            return None
        if self._at_end:
            position.move_to_end()
        if position.status.st_size:
            return position
        self._place = position.place(self._path)
        position.close()
        return None

    def _open_unread(self, unread: SavedPosition) -> FilePosition | None:
        """Open the first file that was written after a time, if it has lines.

        A file of which nothing was read cannot be recognised, and may have been truncated since.
        """
        position = self._generations.after(0, unread.modified_ns)
        if position is not None and not position.status.st_size:
            position.close()
            return None
        newest = self._generations.newest
        if position is not None and newest not in (None, position.inode) and newest == unread.inode:
            self._report_copy()
        return position

    async def _turn(self, position: FilePosition) -> None:
        """Continue with the next file, if this one has been rotated and read to its end."""
        newest = self._generations.newest
        if newest == position.inode:
            self._waiting = None
            return
        other = self._generations.after(position.inode, position.status.st_mtime_ns)
        if other is None:
            return
        try:
            if self._may_turn(position, other):
                await self._finish(position)
                self._position, other = other, position
                self._waiting = None
                was_copy, self._is_copy = self._is_copy, False
                if was_copy and self._position.inode != newest:
                    self._report_copy()
        finally:
            other.close()

    def _may_turn(self, position: FilePosition, following: FilePosition) -> bool:
        """Return True if the next file is in use, and this one has not grown since the last look."""
        if not following.status.st_size:
            return False
        now, size = time.monotonic(), position.status.st_size
        since, size_before = self._waiting or (now, -1)
        self._waiting = since, size
        if size == size_before:
            return True
        if now - since < _LINGER_S:
            return False
        self._warn(None, "the file before the rotation still grows; it is left")
        return True

    async def _finish(self, position: FilePosition) -> None:
        """Hand over a last line whose end has not come."""
        rest = position.read(_MOST_BYTES)
        if rest and self._is_copy:
            self._warn(None, "the copy ends within a line, whose %d bytes are left out", len(rest))
        elif rest:
            await self._take(position, rest)

    def _recover(self, position: FilePosition) -> None:
        """Continue in the copy of a file that was truncated, or else at its beginning."""
        place = position.place(self._path)
        self._position = self._generations.find(place)
        if self._position is not None:
            self._report_copy()
        else:
            self._place = msgspec.structs.replace(place, offset=0)
            text = "the file was truncated and has no copy; its lines after %d bytes are lost"
            self._warn(None, text, place.offset)
        position.close()

    def _report_copy(self) -> None:
        self._is_copy = True
        text = (
            "the file was truncated, and the rest of its copy is read; lines that were written between the "
        )
        self._warn(None, f"{text}copy and the truncation, if any, are lost")

    def _load(self) -> SavedPosition | None:
        if self._state is None:
            return None
        try:
            place = msgspec.json.decode(self._state.read_bytes(), type=SavedPosition)
        except FileNotFoundError:
            return None
        except msgspec.DecodeError as error:
            self._at_end = False
            text = "the state %s is damaged: %s; the file is read from its start"
            self._warn(None, text, self._state, error)
            return None
        if place.path != str(self._path):
            raise ConfigurationError(
                f"the state {self._state} is that of {place.path}, not of {self._path}; "
                "name another file, or remove it"
            )
        return place

    def _save(self) -> None:
        self._saved_s = time.monotonic()
        place = self._place
        if self._position is not None:
            place = self._position.place(self._path, is_copy=self._is_copy)
        if self._state is None or place is None or place == self._saved:
            return
        new = self._state.with_name(f"{self._state.name}.new")
        try:
            new.write_bytes(msgspec.json.encode(place))
            new.replace(self._state)
        except OSError as error:
            self._warn("state", "the place is not saved: %s", error)
        else:
            self._saved = place
