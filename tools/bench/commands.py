"""The command line of the benchmarks: one command for each, one for all, and one for the report."""

import os
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec
from rich.console import Console

from tools.bench import store
from tools.bench.benchmark import SIZES, TRANSPORTS, Benchmark, Options
from tools.bench.discovery import FINDING
from tools.bench.dispatching import DISPATCHING
from tools.bench.distributing import DISTRIBUTING
from tools.bench.idle import IDLE
from tools.bench.latency import LATENCY
from tools.bench.libraries import LIBRARIES
from tools.bench.page import MarkersError, renew
from tools.bench.peers.network import Transport
from tools.bench.publishing import FAN_IN, FAN_OUT, PUBSUB
from tools.bench.report import as_table
from tools.bench.requesting import IN_FLIGHT, ROUND_TRIP
from tools.bench.results import Results
from tools.bench.streaming import STREAMING
from tools.bench.surveying import SURVEYING
from tools.bench.topics import CROWD

BENCHMARKS = (
    PUBSUB,
    FAN_OUT,
    FAN_IN,
    ROUND_TRIP,
    IN_FLIGHT,
    SURVEYING,
    DISPATCHING,
    DISTRIBUTING,
    STREAMING,
    LATENCY,
    FINDING,
    IDLE,
    CROWD,
)
_PLOT = "throughput.svg"
_FOLDER = Path("build/bench")
F = TypeVar("F", bound=Callable[..., Any])


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Measure colugo on this machine, along with the other libraries that are installed.

    All traffic stays on loopback. To have the others: pip install -e '.[bench]'

    A command ends with status 0 when every round gave a figure, with 1 when one did not, something was lost
    or damaged, or a process did not end well. Goals that are missed do not change the status: they depend
    on the machine.

    \b
    Examples:
      python -m tools.bench pubsub --size "64 B" --transport tcp --peers pyzmq --rounds 3
      python -m tools.bench all
    """  # noqa: D301 - click wants the character \b, which stops its wrapping


def _common(command: F) -> F:
    """Add the options of all benchmarks."""
    for option in (
        click.option("--rounds", type=click.IntRange(1), help="Number of rounds, instead of the default."),
        click.option("--seconds", type=click.FloatRange(0.01), help="Approximate duration of a round."),
        click.option(
            "--peers",
            multiple=True,
            type=click.Choice(list(LIBRARIES)),
            help="Measure only this library; repeatable. colugo is always included.",
        ),
    ):
        command = option(command)
    return command


def _sized(command: F) -> F:
    """Add the options of a benchmark with several sizes and transports."""
    for option in (
        click.option(
            "--size", "sizes", multiple=True, type=click.Choice(list(SIZES)), help="Only this size."
        ),
        click.option(
            "--transport",
            "transports",
            multiple=True,
            type=click.Choice(TRANSPORTS),
            help="Only this transport.",
        ),
    ):
        command = option(command)
    return command


def _command(benchmark: Benchmark) -> click.Command:
    def run(
        *,
        rounds: int | None,
        seconds: float | None,
        peers: Sequence[str],
        json_file: Path | None,
        sizes: Sequence[str] = (),
        transports: Sequence[Transport] = (),
    ) -> None:
        options = Options(rounds, seconds, _with_own(peers), sizes or tuple(SIZES), transports or TRANSPORTS)
        if not _run(benchmark, options, json_file):
            raise SystemExit(1)

    run.__doc__ = f"""{benchmark.caption}

    \b
    Examples:
      python -m tools.bench {benchmark.name}
      python -m tools.bench {benchmark.name} --rounds 3 --peers zenoh --json build/{benchmark.name}.json
    """
    file = click.option(
        "--json",
        "json_file",
        type=click.Path(dir_okay=False, path_type=Path),
        help="Write all values to this file.",
    )
    decorated = _common(file(run))
    return click.command(benchmark.name)(_sized(decorated) if benchmark is PUBSUB else decorated)


for _benchmark in BENCHMARKS:
    main.add_command(_command(_benchmark))


@main.command(name="all")
@_common
@click.option("--quick", is_flag=True, help="Check that everything works: one short round, fans of 2.")
@click.option(
    "--into",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=_FOLDER,
    show_default=True,
    help="The folder for the results.",
)
def every(
    rounds: int | None, seconds: float | None, peers: Sequence[str], folder: Path, *, quick: bool
) -> None:
    """Run all benchmarks, and write the results and a plot.

    \b
    Examples:
      python -m tools.bench all
      python -m tools.bench all --quick --into build/bench-check
    """  # noqa: D301 - click wants the character \b, which stops its wrapping
    options = Options(rounds, seconds, _with_own(peers), quick=quick)
    well = [_run(benchmark, options, folder / f"{benchmark.name}.json") for benchmark in BENCHMARKS]
    _plot(_read(folder), folder / _PLOT)
    if not all(well):
        raise SystemExit(1)


@main.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--into",
    "page",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A Markdown page with two marker lines; the text between them is replaced.",
)
@click.option(
    "--plot", type=click.Path(dir_okay=False, path_type=Path), help="Plot the throughputs to this file."
)
def report(folder: Path, page: Path | None, plot: Path | None) -> None:
    """Show the results in a folder, or insert them into a page.

    \b
    Examples:
      python -m tools.bench report build/bench
      python -m tools.bench report build/bench --into docs/performance.md --plot docs/performance.svg
    """  # noqa: D301 - as above
    everything = _read(folder)
    if not everything:
        raise click.ClickException(f"no results in {folder}; to make some: python -m tools.bench all")
    if page is None:
        for results in everything:
            _show(results)
    else:
        try:
            renew(page, everything)
        except MarkersError as error:
            raise click.ClickException(f"{page}: {error}") from error
    if plot is not None and not _plot(everything, plot):
        raise SystemExit(1)


def _with_own(peers: Sequence[str]) -> Sequence[str]:
    return ("colugo", *peers) if peers else ()


def _run(benchmark: Benchmark, options: Options, file: Path | None) -> bool:
    """Run a benchmark and show the results; return True if there was no problem."""
    missing = benchmark.missing(options)
    for library, remedy in missing.items():
        click.echo(f"Left out: {library} is not installed, or not all of it ({remedy})", err=True)
    results = benchmark.run(options, shlex.join(["python", "-m", "tools.bench", *sys.argv[1:]]))
    _show(results)
    if file is not None:
        store.write(file, results)
    return not results.problems and not (missing and os.environ.get("COLUGO_CI"))


def _show(results: Results) -> None:
    console = Console()
    console.print(as_table(results))
    for problem in results.problems:
        console.print(problem, markup=False)


def _read(folder: Path) -> list[Results]:
    files = (folder / f"{benchmark.name}.json" for benchmark in BENCHMARKS)
    try:
        return [store.read(file) for file in files if file.exists()]
    except msgspec.MsgspecError as error:
        raise click.ClickException(f"{folder} holds results that cannot be read: {error}") from error


def _plot(everything: Sequence[Results], file: Path) -> bool:
    try:
        from tools.bench.plot import draw  # noqa: PLC0415 - of the extra `bench`, which need not be there
    except ModuleNotFoundError as error:
        click.echo(f"Left out: the plot; {error.name} is not installed (pip install {error.name})", err=True)
        return False
    draw(everything, file)
    return True
