"""The end of a command by SIGINT or SIGTERM, within a time limit."""

import asyncio
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from types import FrameType, TracebackType
from typing import Any, Self

import click

from colugo.diagnosis.number_formats import count
from colugo.distributor.target_options import TargetStats

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_LIMIT_S = 0.9
"""The time for closing everything, after that for messages."""
_PRINT_S = 0.05


class Stopping:
    """The wait for a signal, and a limit for the time after it: `drain_ms` for messages, and one second.

    If the process has not ended in time, because the loop or a thread hangs, or at a second signal, it prints
    what is left and ends at once.
    """

    def __init__(self, drain_ms: int) -> None:
        self.report: Callable[[], object] = lambda: None
        """Prints what is left, on any thread."""
        self._drain_ms = drain_ms
        self._since: float | None = None
        self._wake: Callable[[], object] = lambda: None
        self._before: dict[signal.Signals, Any] = {}
        self._done = False
        self._timer = threading.Timer(drain_ms / 1000 + _LIMIT_S, self._on_limit)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        # not those of the loop: they would not be called while it hangs
        self._before = {number: signal.signal(number, self._on_signal) for number in _SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._done = True

    @property
    def left_ms(self) -> int:
        """The milliseconds that are left for messages."""
        passed = 0.0 if self._since is None else time.monotonic() - self._since
        return max(0, self._drain_ms - round(passed * 1000))

    async def requested(self) -> None:
        """Wait for a signal, or for `request`."""
        requested = asyncio.Event()
        self._wake = partial(asyncio.get_running_loop().call_soon_threadsafe, requested.set)
        if self._since is None:
            await requested.wait()

    def request(self) -> None:
        """Stop, as by a signal."""
        if self._since is None:
            self._since = time.monotonic()
            self._timer.start()
            self._wake()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - the interface
        if self._since is None:
            self.request()
        else:
            self._end()

    def _on_limit(self) -> None:
        if not self._done:
            self._end()
        elif not threading.main_thread().is_alive():  # it waits for a thread, or for the reader of its output
            os._exit(0)

    def _end(self) -> None:
        printing = threading.Thread(target=self._print, name="report", daemon=True)
        printing.start()
        printing.join(_PRINT_S)  # the output may block
        os._exit(0)

    def _print(self) -> None:
        self.report()
        sys.stdout.flush()


def print_left(before: Mapping[str, TargetStats], after: Mapping[str, TargetStats]) -> None:
    """Print for each target how many messages it has not sent between two states of its counters."""
    for line in left_lines(before, after):
        click.echo(line, err=True)


def left_lines(before: Mapping[str, TargetStats], after: Mapping[str, TargetStats]) -> Iterator[str]:
    """Yield a line for each target that has not sent all messages."""
    for name, now in after.items():
        then = before.get(name, TargetStats())
        unsent = now.queued + now.in_progress
        unsent += sum(getattr(now, one) - getattr(then, one) for one in ("cancelled", "failed", "timed_out"))
        if unsent > 0:
            hanging = f" ({now.in_progress} in progress)" if now.in_progress else ""
            yield f"target {name}: {count(unsent, 'message')} not sent{hanging}"
