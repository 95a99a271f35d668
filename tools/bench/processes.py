"""The processes of a benchmark, controlled line by line."""

import os
import queue
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self

_ROOT = Path(__file__).resolve().parents[2]
_END_S = 5.0


class NoAnswerError(Exception):
    """A process did not answer as expected in time; the text holds its output."""


class Child:
    """A Python process that reads commands and answers with lines, each with a known first word.

    Its standard error goes to its output, so that a missing answer shows a traceback. It has its own session:
    Ctrl-C reaches only the benchmark, which then closes the child's standard input, and so the child exits.

    Args:
        module: the module to run, as in `python -m`.
        arguments: the command-line arguments.
    """

    def __init__(self, module: str, *arguments: str) -> None:
        self._name = " ".join((module.rsplit(".", 1)[-1], *arguments))
        self._said: list[str] = []
        self._lines: queue.Queue[str | None] = queue.Queue()
        # pass on the import paths that Bazel and the tests give to this process
        paths = [str(_ROOT), *(path for path in sys.path if path)]
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(paths), "COLUGO_SCOPE": "host"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, name=f"output of {self._name}", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def tell(self, line: str) -> None:
        """Send a command.

        Raises:
            NoAnswerError: if the process has exited.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
        except OSError as error:
            raise self._no_answer(f"{line!r} could not be sent ({error})") from error

    def expect(self, *words: str, within: float) -> list[str]:
        """Wait for a line that begins with these words, and skip others.

        Args:
            words: the first words.
            within: seconds to wait.

        Returns:
            The words after them.

        Raises:
            NoAnswerError: if there is none in time, or the process ends.
        """
        wanted = " ".join(words)
        deadline = time.monotonic() + within
        while True:
            try:
                line = self._lines.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise self._no_answer(f"did not say {wanted!r} within {within:g} s") from None
            if line is None:
                raise self._no_answer(f"ended without {wanted!r}")
            said = line.split()
            if said[: len(words)] == list(words):
                return said[len(words) :]

    def ask(self, line: str, *words: str, within: float) -> list[str]:
        """Tell it a line and expect its answer."""
        self.tell(line)
        return self.expect(*words, within=within)

    def end(self, within: float = _END_S) -> None:
        """Close its standard input and wait for its end.

        Args:
            within: seconds to wait; it is killed then.

        Raises:
            NoAnswerError: if it had to be killed, or ended with a status that is not 0.
        """
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            status = self._process.wait(within)
        except subprocess.TimeoutExpired:
            self.kill()
            raise self._no_answer(f"did not end within {within:g} s") from None
        self._reader.join(_END_S)
        if status:
            raise self._no_answer(f"ended with status {status}")

    def kill(self) -> None:
        """Kill it, if it still runs, and release what it took."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._reader.join(_END_S)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.end()
        finally:
            self.kill()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._said.append(line.rstrip("\n"))
            self._lines.put(line)
        self._lines.put(None)

    def _no_answer(self, what: str) -> NoAnswerError:
        said = "; ".join(self._said[-3:]) or "nothing"
        return NoAnswerError(f"{self._name} {what}; it said last: {said}")
