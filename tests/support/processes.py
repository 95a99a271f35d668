"""Helpers of tests with several processes: options, answers and memory of their programs."""

import json
import threading
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import psutil

from tests.support.essentials import Program

MIB = 1024 * 1024


def program(name: str, realm: str, **options: Any) -> Program:
    """Start one of `tests.programs`."""
    return Program(["-m", f"tests.programs.{name}", json.dumps(options)], realm=realm)


def answer(process: Program, word: str, within: float = 15.0) -> Mapping[str, Any]:
    """Return the JSON that the process prints after a word."""
    line = process.expect(f"{word} {{", within)
    found: Mapping[str, Any] = json.loads(line[line.index("{") :])
    return found


class MemoryWatch:
    """How much memory a process takes at most within a `with` block, beyond what it had at its beginning."""

    def __init__(self, process: Program) -> None:
        self._process = psutil.Process(process.pid)
        self._first = self._most = self._now()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="test memory watch", daemon=True)

    @property
    def more(self) -> int:
        """Bytes."""
        self._most = max(self._most, self._now())
        return self._most - self._first

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _now(self) -> int:
        return int(self._process.memory_info().rss)

    def _run(self) -> None:
        while not self._ended.wait(0.005):
            self._most = max(self._most, self._now())
