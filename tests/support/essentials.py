"""Helpers of all tests: time, events with deadlines, and real processes."""

import asyncio
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

T = TypeVar("T")

ROOT = Path(__file__).parents[2]
SCALE = float(os.environ.get("COLUGO_TEST_TIME_SCALE", "1"))
"""All waits of the tests are multiplied by it: raise it on a slow machine."""


def seconds(n: float) -> float:
    """A waiting time, scaled."""
    return n * SCALE


def run(main: Coroutine[Any, Any, T], within: float = 20.0) -> T:
    """Run a coroutine on a new loop, with a deadline."""

    async def bounded() -> T:
        async with asyncio.timeout(seconds(within)):
            return await main

    return asyncio.run(bounded())


async def until(condition: Callable[[], object], within: float = 10.0) -> None:
    """Return when the condition holds: for what has a counter and no event."""
    async with asyncio.timeout(seconds(within)):
        while not condition():  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.001)


def wait_until(condition: Callable[[], object], within: float = 10.0) -> bool:
    """The same without a loop; whether it held in time."""
    deadline = time.monotonic() + seconds(within)
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.001)
    return True


def free_port() -> int:
    """A TCP port of loopback that nobody uses."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def is_free(port: int) -> bool:
    """Return True if the port is free."""
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def new_realm() -> str:
    """A realm that nobody else uses, so that tests do not meet."""
    return f"t{uuid.uuid4().hex[:12]}"


class Collector:
    """A callback that keeps what it gets, and an awaitable for the n-th."""

    def __init__(self) -> None:
        self.items: list[Any] = []
        self._changed = asyncio.Event()

    def __call__(self, item: Any) -> None:
        """Keep it."""
        self.items.append(item)
        self._changed.set()

    async def reach(self, n: int, within: float = 10.0) -> list[Any]:
        """Return the items when there are n of them."""
        async with asyncio.timeout(seconds(within)):
            while len(self.items) < n:
                self._changed.clear()
                await self._changed.wait()
        return self.items


def _hear_sigint() -> None:
    """A shell without job control lets what it starts in the background ignore SIGINT, which is inherited."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Program:
    """A real process whose output is waited for line by line.

    Args:
        arguments: what follows `python`, such as `["-m", "examples.pub"]`.
        realm: its COLUGO_REALM.
        env: more of its environment.
        prefix: a command that runs it, such as `ip netns exec x`.
        told: True to give it a standard input for commands; else that is empty.
        folder: where it is started.
    """

    def __init__(
        self,
        arguments: Iterable[str],
        *,
        realm: str,
        env: Mapping[str, str] | None = None,
        prefix: Sequence[str] = (),
        told: bool = False,
        folder: Path = ROOT,
    ) -> None:
        paths = [str(ROOT), *(path for path in sys.path if path)]
        environment = os.environ | {
            "COLUGO_SCOPE": "host",
            "COLUGO_REALM": realm,
            "PYTHONPATH": os.pathsep.join(paths),
            "PYTHONUNBUFFERED": "1",
            **(env or {}),
        }
        self.lines: list[str] = []
        self._queue: queue.Queue[str | None] = queue.Queue()
        self._process = subprocess.Popen(
            [*prefix, sys.executable, *arguments],
            env=environment,
            cwd=folder,
            stdin=subprocess.PIPE if told else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            preexec_fn=_hear_sigint,  # noqa: PLW1509 - it takes no lock
        )
        self._reader = threading.Thread(target=self._read, name="test output reader", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def ended(self) -> bool:
        """True if the process has ended."""
        return self._process.poll() is not None

    def expect(self, text: str, within: float = 15.0) -> str:
        """Return the next line that contains the text; fail with all output if none comes in time."""
        deadline = time.monotonic() + seconds(within)
        while True:
            try:
                line = self._queue.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"no {text!r} within {within} s in:\n" + "\n".join(self.lines)) from None
            if line is None:
                raise AssertionError(f"ended without {text!r}:\n" + "\n".join(self.lines))
            if text in line:
                return line

    def tell(self, line: str) -> None:
        """Send it a line."""
        assert self._process.stdin is not None
        print(line, file=self._process.stdin, flush=True)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def wait(self, within: float = 10.0) -> int:
        """Return its exit status; all output is in `lines` then."""
        try:
            status = self._process.wait(seconds(within))
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still runs after {within} s:\n" + "\n".join(self.lines)) from None
        self._reader.join(seconds(5))
        return status

    def interrupt(self, within: float = 10.0) -> int:
        """Send SIGINT and return the exit status."""
        self.signal(signal.SIGINT)
        return self.wait(within)

    def kill(self) -> None:
        """Send SIGKILL, if it still runs."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.kill()
        self._reader.join(seconds(5))
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.lines.append(line.rstrip("\n"))
            self._queue.put(line)
        self._queue.put(None)


def unix_connections(table: str, folder: Path) -> int:
    """How many connections to socket files of a folder are in /proc/net/unix."""
    lines = [line.split(maxsplit=7) for line in table.splitlines()]
    return sum(len(line) == 8 and line[5] == "03" and line[7].startswith(f"{folder}/") for line in lines)
