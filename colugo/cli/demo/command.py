"""The command `colugo demo`."""

import asyncio
import signal
import sys
import time
import uuid
from collections.abc import Coroutine
from typing import Any, Protocol

import click
from rich.console import Console

from colugo import ColugoError
from colugo.cli.demo.plain import PlainView, print_summary
from colugo.cli.demo.readings import can_read
from colugo.cli.demo.record import Record
from colugo.cli.demo.screen import LEAST_HEIGHT, LEAST_WIDTH, ScreenView
from colugo.cli.demo.tour import Tour
from colugo.cli.network.output import screen

_DEFAULT_S = 15.0
_SHORTEST_S = 5.0
_LONGEST_S = 300.0
_PIPE_WIDTH = 120
_BY_SIGNAL = 128
"""The shell's rule: exit status 128 + the number of the signal."""
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class _View(Protocol):
    period_ms: int

    def show(self, now_ns: int) -> None: ...


@click.command(
    epilog="""\b
Exit status:
  0    all expectations were met
  1    at least one was not; the last lines name it
  2    usage error
  130  interrupted by Ctrl-C

\b
Examples:
  colugo demo
  colugo demo --seconds 30
  colugo demo --plain | tee demo.log
"""
)
@click.option(
    "--seconds",
    type=click.FloatRange(_SHORTEST_S, _LONGEST_S),
    default=_DEFAULT_S,
    show_default=True,
    help="How long the demo runs.",
)
@click.option("--plain", is_flag=True, help="Print lines instead of drawing a screen, even on a terminal.")
def demo(*, seconds: float, plain: bool) -> None:
    """Run a demonstration with real processes.

    Starts five nodes as processes on this machine; no packet leaves it. They exchange readings of this
    machine and requests. Then the demo kills one, adds another, and ends with a table of expectations and
    results.
    """
    if not can_read():
        raise click.ClickException('on this system, the demo needs psutil: pip install "colugo[demo]"')
    length_ms = round(seconds * 1000)
    realm = f"demo-{uuid.uuid4().hex[:8]}"
    record = Record(time.time_ns())
    console = screen(_PIPE_WIDTH)
    view = _view(record, console, realm, length_ms=length_ms, plain=plain)
    try:
        with view:
            ended_by = asyncio.run(_until_signal(_show(record, realm, view, length_ms)))
    except ColugoError as error:
        raise click.ClickException(f"cannot run the demo's own node: {error}") from error
    if ended_by is not None:
        click.echo(f"Stopped by {ended_by.name}, with {len(record.exits)} processes.", err=True)
        sys.exit(_BY_SIGNAL + ended_by)
    sys.exit(0 if print_summary(record, console, time.time_ns()) else 1)


def _view(
    record: Record, console: Console, realm: str, *, length_ms: int, plain: bool
) -> PlainView | ScreenView:
    width, height = console.size
    fits = console.is_terminal and not console.is_dumb_terminal
    if plain or not fits or width < LEAST_WIDTH or height < LEAST_HEIGHT:
        return PlainView(record)
    return ScreenView(record, console, f"realm {realm}, this machine only", length_ms=length_ms)


async def _show(record: Record, realm: str, view: _View, length_ms: int) -> None:
    tour = Tour(record, realm, length_ms=length_ms)
    record.note(record.started_ns, "realm", f"{realm}, on this machine only (scope host)")
    touring = asyncio.create_task(tour.run(), name="tour of the demo")
    try:
        while not touring.done():
            view.show(time.time_ns())
            await asyncio.wait({touring}, timeout=view.period_ms / 1000)
    finally:
        touring.cancel()
        await asyncio.wait({touring})
    view.show(time.time_ns())
    await touring


async def _until_signal(main: Coroutine[Any, Any, None]) -> signal.Signals | None:
    """Run a coroutine; cancel it on a signal, and return that signal."""
    loop = asyncio.get_running_loop()
    task = asyncio.create_task(main, name="demo")
    received: list[signal.Signals] = []

    def cancel(number: signal.Signals) -> None:
        received.append(number)
        task.cancel()

    for number in _SIGNALS:
        loop.add_signal_handler(number, cancel, number)
    try:
        await task
    except asyncio.CancelledError:
        if not received:
            raise
        return received[0]
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
    return None
