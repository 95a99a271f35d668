"""A process of a soak, which is killed and started again."""

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
    """One process at a time, in its place, with its files.

    Args:
        options: of the process.
        place: where it is.
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
        """The most bytes that any of its lives has had."""

    @property
    def name(self) -> str:
        """Of the process."""
        return self.options.name

    @property
    def role(self) -> str:
        """What it does."""
        return self.options.role

    @property
    def runs(self) -> bool:
        """Whether it has been started, and not been killed since."""
        return self._process is not None

    @property
    def status(self) -> int | None:
        """How it has ended; None if it has not, or was killed."""
        return None if self._process is None else self._process.poll()

    @property
    def output(self) -> Path:
        """What it has said, in all its lives."""
        return self._folder / f"{self.name}.out"

    def start(self) -> int:
        """Start it, for the first time or again; its process id."""
        assert self._process is None
        options = replace(self.options, life=self.lives)
        self.lives += 1
        # Bazel and the tests give paths to this process that another one would not know.
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
                # Ctrl-C is for the supervisor alone, which then ends all.
                start_new_session=True,
            )
        return self._process.pid

    def kill(self) -> int | None:
        """Send SIGKILL, and see it ended; its status, unless it was not running."""
        if self._process is None:
            return None
        self._process.send_signal(signal.SIGKILL)
        status = self._process.wait()
        self._close()
        return status

    def tell(self, line: str) -> None:
        """Send it a line; one that has ended hears nothing."""
        assert self._process is not None
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # its status says so
            self._process.stdin.write(line.encode() + b"\n")
            self._process.stdin.flush()

    def end(self, within_s: float) -> int | None:
        """Let it end by itself.

        Args:
            within_s: seconds to wait; it is killed then.

        Returns:
            Its status; None if it had to be killed.
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
        """Look how much memory it has, and what it has recorded."""
        self.records.look()
        if self._process is not None and self._process.poll() is None:
            try:
                memory = psutil.Process(self._process.pid).memory_info().rss
            except psutil.NoSuchProcess:
                return
            self.most_memory = max(self.most_memory, memory)

    def _close(self) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # something told was not heard
            self._process.stdin.close()
        self._process = None
