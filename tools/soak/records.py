"""Files of records, which survive the processes that write them: the evidence of a soak.

A record is a line of JSON, written unbuffered with one system call: once `add` has returned, the kernel has
it, even if the process is killed. A kill may tear a line where it crosses a page of the file, so readers skip
lines that are not JSON.
"""

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Record = list[Any]
"""Its kind, the time (milliseconds since the machine started), and more."""

CONFIRMED = "confirmed"
"""`send_wait` has returned: id, label."""
FULL = "full"
"""The stream was full and a producer waits; or the relay did not accept a message in all retries."""
HANDLED = "handled"
"""A callback was called: id, label, whether the message was redelivered, attempt."""
DAMAGED = "damaged"
"""A callback was called with a damaged message: id, its beginning."""
DRAINED = "drained"
"""A stream is empty, or a sender has nothing in flight."""
STATE = "state"
"""The counters of a process, on request: a mapping."""
ENDED = "ended"
"""The same, before it exits normally."""
STARTED = "started"
"""From the supervisor: name, process id."""
KILLED = "killed"
"""From the supervisor: name."""
CUT = "cut"
"""From the supervisor: host, and for how many seconds."""
MENDED = "mended"
"""From the supervisor: host."""


class Recorder:
    """A writer that appends records to a file.

    Args:
        path: the file; its contents stay.
    """

    def __init__(self, path: Path) -> None:
        self.doomed = False
        """True to kill this process after the next record of a confirmed or handled message."""
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        if os.fstat(self._file).st_size:
            os.write(self._file, b"\n")  # the last line may be torn

    def add(self, what: str, *more: Any) -> None:
        """Append a record."""
        line = json.dumps((what, now_ms(), *more)).encode() + b"\n"
        if os.write(self._file, line) != len(line):
            raise OSError(f"only a part of {line!r} was written")
        if self.doomed and what in (CONFIRMED, HANDLED):
            os.kill(os.getpid(), signal.SIGKILL)


def now_ms() -> int:
    """Return the time in milliseconds of a clock that all processes of the machine share."""
    return time.monotonic_ns() // 1_000_000


def read_records(path: Path) -> Iterator[Record]:
    """Read all records of a file, in order."""
    if path.exists():
        with path.open("rb") as file:
            yield from parse(file)


def parse(lines: Iterator[bytes] | Any) -> Iterator[Record]:
    """Parse records from lines, and skip torn lines."""
    for line in lines:
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, list):
            yield record


class Follower:
    """A reader of new records in a file.

    Args:
        path: the file, which need not exist yet.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self.counts: dict[str, int] = {}
        """The number of records so far, by kind."""
        self.last: dict[str, Record] = {}
        """The last record of each kind."""

    def read(self) -> None:
        """Read the new records."""
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
