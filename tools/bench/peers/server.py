"""A server that the processes of a library meet at."""

import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from tools.bench.processes import NoAnswerError

# Ends the server when standard input ends, and with it when the benchmark ends, however that is.
_RUN = '"$@" & read -r _; kill $!; wait'
_POLL_S = 0.05
_TRY_S = 1.0
_LAST_BYTES = 500


class Server:
    """Runs in a folder of its own until it is closed; both end together, and so does what it started.

    Args:
        command: what to run. In all its texts, and in those of files and environment, `{folder}` becomes
            the path of the folder.
        files: what is there before it starts, by name.
        environment: what it has besides the variables of this process.
        end_s: seconds it has to end in; what is left of it is killed then.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        files: Mapping[str, str] | None = None,
        environment: Mapping[str, str] | None = None,
        end_s: float = 5.0,
    ) -> None:
        self._name = Path(command[0]).name
        self._folder = tempfile.TemporaryDirectory(prefix="colugo-bench-")
        folder = Path(self._folder.name)
        self._end_s = end_s
        self._output = folder / "output"
        for name, text in (files or {}).items():
            (folder / name).write_text(self._filled(text), encoding="utf-8")
        variables = {name: self._filled(text) for name, text in (environment or {}).items()}
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", _RUN, "sh", *map(self._filled, command)],
                env=os.environ | variables,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def group(self) -> int:
        """The process group of all that belongs to it."""
        return self._process.pid

    def listening(self, port: int, within: float) -> None:
        """Return when it takes connections.

        Args:
            port: where, on 127.0.0.1.
            within: seconds to wait.

        Raises:
            NoAnswerError: if it does not in time.
        """
        deadline = time.monotonic() + within
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=_TRY_S).close()
            except OSError as error:
                if time.monotonic() > deadline:
                    said = self._output.read_text(encoding="utf-8", errors="replace")[-_LAST_BYTES:]
                    raise NoAnswerError(
                        f"{self._name} does not listen after {within:g} s; it said last: {said or 'nothing'}"
                    ) from error
                time.sleep(_POLL_S)
            else:
                return

    def close(self) -> None:
        """End it, and remove its folder."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(self._end_s)
        with suppress(ProcessLookupError):
            os.killpg(self.group, signal.SIGKILL)
        self._process.wait()
        self._folder.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _filled(self, text: str) -> str:
        return text.replace("{folder}", self._folder.name)
