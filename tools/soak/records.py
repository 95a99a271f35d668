"""Files of records, which outlive the processes that write them: what they say is the truth of a soak.

A record is a line of JSON, written with one system call and not buffered: once `add` has returned, the
kernel has it, whatever happens to the process. A kill may tear a line in two where it crosses a page of the
file, so a line that is no JSON counts for nothing.
"""

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Record = list[Any]
"""What it is, when it was written (milliseconds of the machine's clock since it started), and more."""

CONFIRMED = "confirmed"
"""`send_wait` has returned: id, label."""
FULL = "full"
"""The stream had no room for a message, and a producer waits; or the relay has not taken one in all tries."""
HANDLED = "handled"
"""A callback has been called: id, label, whether it was redelivered, which attempt."""
DAMAGED = "damaged"
"""A callback has been called with a message that nobody has sent: id, its beginning."""
DRAINED = "drained"
"""A stream is empty, or a sender has nothing under way."""
STATE = "state"
"""What a process knows of itself, because it was asked: a mapping."""
ENDED = "ended"
"""The same, before it ends by itself."""
STARTED = "started"
"""Of the supervisor: name, process id."""
KILLED = "killed"
"""Of the supervisor: name."""
CUT = "cut"
"""Of the supervisor: host, and for how many seconds."""
MENDED = "mended"
"""Of the supervisor: host."""


class Recorder:
    """Appends records to a file.

    Args:
        path: of the file; what is in it stays.
    """

    def __init__(self, path: Path) -> None:
        self.doomed = False
        """Whether to kill this process after the next record of a confirmed or handled message."""
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        if os.fstat(self._file).st_size:
            os.write(self._file, b"\n")  # the last line may be torn

    def add(self, what: str, *more: Any) -> None:
        """Append one."""
        line = json.dumps((what, now_ms(), *more)).encode() + b"\n"
        if os.write(self._file, line) != len(line):
            raise OSError(f"only a part of {line!r} was written")
        if self.doomed and what in (CONFIRMED, HANDLED):
            os.kill(os.getpid(), signal.SIGKILL)


def now_ms() -> int:
    """Milliseconds of a clock that all processes of the machine share."""
    return time.monotonic_ns() // 1_000_000


def read_records(path: Path) -> Iterator[Record]:
    """All records of a file, in their order."""
    if path.exists():
        with path.open("rb") as file:
            yield from parse(file)


def parse(lines: Iterator[bytes] | Any) -> Iterator[Record]:
    """The records of these lines, without what is torn."""
    for line in lines:
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, list):
            yield record


class Follower:
    """Reads what is added to a file of records.

    Args:
        path: of the file, which may come later.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self.counts: dict[str, int] = {}
        """How many records of each kind there are so far."""
        self.last: dict[str, Record] = {}
        """The last one of each kind."""

    def look(self) -> None:
        """Read what is new."""
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(self._offset)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        for record in parse(whole.splitlines()):
            self.counts[record[0]] = self.counts.get(record[0], 0) + 1
            self.last[record[0]] = record
