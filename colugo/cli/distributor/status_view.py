"""The live status of a distributor on a terminal."""

import asyncio
import logging
import sys
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.text import Text

from colugo.cli.network.output import cell, table
from colugo.distributor import Distributor
from colugo.distributor.targets.console_target import ConsoleTarget

_PERIOD_S = 0.5
_COLUMNS = ("target", "out", "queued", "dropped", "failed")


class StatusView:
    """The counters of a distributor, shown below its log."""

    def __init__(self, distributor: Distributor, console: Console) -> None:
        self._distributor = distributor
        # the output of plugins goes above the counters, if it goes to the terminal at all
        self._live = Live(
            console=console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=sys.stdout.isatty(),
            redirect_stderr=False,
        )
        self._scratch = Console(stderr=True, highlight=False)
        self._handlers: list[logging.Handler] = []

    async def run(self) -> None:
        """Show the counters twice a second, until the task is cancelled."""
        with self:
            while True:
                self._live.update(self._draw(), refresh=True)
                await asyncio.sleep(_PERIOD_S)

    def _draw(self) -> Text:
        """Return the counters as text; a table would be laid out anew for each line printed above it."""
        received = self._distributor.received
        by_source = ", ".join(f"{name} {number:,}" for name, number in received.items())
        rows = [
            [cell(name)]
            + [
                cell(f"{number:,}")
                for number in (one.completed, one.queued, one.dropped, one.failed + one.timed_out)
            ]
            for name, one in self._distributor.stats.items()
        ]
        with self._scratch.capture() as captured:
            self._scratch.print(
                Text(f"in {sum(received.values()):,}", style="bold").append(
                    f"  {by_source}", style="not bold"
                ),
                table(_COLUMNS, rows, right=_COLUMNS[1:]),
            )
        return Text.from_ansi(captured.get())

    def __enter__(self) -> Self:
        root = logging.getLogger()
        self._handlers, root.handlers = root.handlers, [_AboveStatus(self._live.console, root.handlers)]
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._live.stop()
        logging.getLogger().handlers = self._handlers


def can_show(distributor: Distributor, console: Console) -> bool:
    """Return True if a console is a terminal, and no built-in target prints its messages to a terminal."""
    printing = any(isinstance(target, ConsoleTarget) for target in distributor.targets.values())
    return console.is_terminal and not (printing and sys.stdout.isatty())


class _AboveStatus(logging.Handler):
    """A handler that prints log messages above the status."""

    def __init__(self, console: Console, handlers: list[logging.Handler]) -> None:
        super().__init__()
        self._console = console
        if handlers:
            self.setFormatter(handlers[0].formatter)

    def emit(self, record: logging.LogRecord) -> None:
        """Print a message."""
        self._console.print(Text(self.format(record)), soft_wrap=True)
