"""A process of a soak, which the supervisor kills and restarts."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import psutil

from tools.soak.options import Options
from tools.soak.places import Place
from tools.soak.records import Follower

ROOT = Path(__file__).resolve().parents[2]


class Actor:
    """A process that may run several times, one after another, on one host with the same files.

    Args:
        options: the options of the process.
        place: the host it runs on.
        realm: its COLUGO_REALM.
    """

    def __init__(self, options: Options, place: Place, realm: str) -> None:
        self.options = options
        self.place = place
        self._folder = Path(options.folder)
        self._realm = realm
        self._process: subprocess.Popen[bytes] | None = None
        self.records = Follower(options.records)
        self.lives = 0
        self.most_memory = 0
        """The peak memory in bytes over all its lives."""

    @property
    def name(self) -> str:
        """The name of the process."""
        return self.options.name

    @property
    def role(self) -> str:
        """The role of the process."""
        return self.options.role

    @property
    def runs(self) -> bool:
        """True if it was started and not killed since."""
        return self._process is not None

    @property
    def status(self) -> int | None:
        """The exit status; None while it runs, or after a kill."""
        return None if self._process is None else self._process.poll()

    @property
    def output(self) -> Path:
        """The file with the output of all its lives."""
        return self._folder / f"{self.name}.out"

    def start(self) -> int:
        """Start or restart the process; return its id."""
        assert self._process is None
        options = replace(self.options, life=self.lives)
        self.lives += 1
        # pass on the import paths that Bazel and the tests give to this process
        paths = [str(ROOT), *(path for path in sys.path if path)]
        with self.output.open("ab") as output:
            self._process = subprocess.Popen(
                [*self.place.prefix, sys.executable, "-m", "tools.soak.roles", json.dumps(asdict(options))],
                env={
                    **os.environ,
                    "PYTHONPATH": os.pathsep.join(paths),
                    "COLUGO_REALM": self._realm,
                    **self.place.env,
                },
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                # Ctrl-C goes to the supervisor only, which then stops all processes
                start_new_session=True,
            )
        return self._process.pid

    def kill(self) -> int | None:
        """Send SIGKILL and wait for the end; return the status, None if it was not running."""
        if self._process is None:
            return None
        self._process.send_signal(signal.SIGKILL)
        status = self._process.wait()
        self._close()
        return status

    def send(self, line: str) -> None:
        """Send a command; a process that has exited ignores it."""
        assert self._process is not None
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # its status shows that it has exited
            self._process.stdin.write(line.encode() + b"\n")
            self._process.stdin.flush()

    def end(self, within_s: float) -> int | None:
        """Ask the process to exit.

        Args:
            within_s: seconds to wait before it is killed.

        Returns:
            The exit status; None if it had to be killed.
        """
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            return self._process.wait(within_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            return None
        finally:
            self._close()

    def watch(self) -> None:
        """Measure its memory, and read its new records."""
        self.records.read()
        if self._process is not None and self._process.poll() is None:
            try:
                memory = psutil.Process(self._process.pid).memory_info().rss
            except psutil.NoSuchProcess:
                return
            self.most_memory = max(self.most_memory, memory)

    def _close(self) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it exited before it read a command
            self._process.stdin.close()
        self._process = None
