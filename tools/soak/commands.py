"""The command line of the soak."""

import os
import shutil
import sys
import tempfile
from contextlib import AbstractContextManager
from pathlib import Path

import click
from rich.console import Console

from tools.soak.places import Place, this_machine
from tools.soak.plan import Plan
from tools.soak.report import as_table, explain
from tools.soak.soak import Soak


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option(
    "--messages", type=click.IntRange(1), default=200_000, help="Minimum number of confirmed messages."
)
@click.option("--kills", type=click.IntRange(0), default=300, help="Number of kills.")
@click.option(
    "--cuts",
    type=click.IntRange(0),
    default=12,
    help="Number of cable cuts; with 0, everything runs on this host, without root.",
)
@click.option("--seconds", type=click.FloatRange(1), default=600.0, help="Approximate duration.")
@click.option("--seed", type=click.IntRange(0), default=1, help="Seed of all random choices.")
@click.option(
    "--producers", type=click.IntRange(1), default=3, help="Number of producers, each with a stream."
)
@click.option("--members", type=click.IntRange(1), default=3, help="Number of consumers in each group.")
@click.option(
    "--senders", type=click.IntRange(0), default=2, help="Number of senders through a relay; 0 for no relay."
)
@click.option("--listeners", type=click.IntRange(1), default=2, help="Number of receivers behind the relay.")
@click.option("--max-messages", type=click.IntRange(1), default=500, help="Capacity of a stream.")
@click.option(
    "--into",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep all files in this folder, which must be empty or not exist.",
    show_default="a temporary folder, kept on failure",
)
def main(*, folder: Path | None, **plan: int) -> None:
    """Check that streams lose no messages while processes are killed and cables are cut.

    Exits with status 0 if each group handled all confirmed messages, all duplicates were flagged as
    redelivered, and all stores are intact and empty. Else it exits with 1, prints the records of missing
    messages and keeps all files.

    \b
    Examples:
      python -m tools.soak
      python -m tools.soak --messages 5000 --kills 10 --cuts 0 --seconds 15
    """  # noqa: D301 - click wants the character \b, which stops its wrapping
    if plan["cuts"]:
        _check_cables()
    console = Console()
    kept = folder or Path(tempfile.mkdtemp(prefix="colugo-soak-"))
    kept.mkdir(parents=True, exist_ok=True)
    if any(kept.iterdir()):
        raise click.UsageError(f"{kept} is not empty")
    with _places(plan["cuts"]) as places, console.status("starting") as status:
        outcome = Soak(Plan(**plan), kept, places, status.update).run()
    console.print(as_table(outcome))
    if outcome.faults:
        for line in (*outcome.faults, *explain(outcome, kept)):
            console.print(line, markup=False, highlight=False)
        console.print(f"the seed was {outcome.plan.seed}; all files are in {kept}", highlight=False)
        sys.exit(1)
    if folder is None:
        shutil.rmtree(kept)


def _check_cables() -> None:
    """Raise an error if this machine cannot cut cables."""
    missing = [command for command in ("ip", "nft") if shutil.which(command) is None]
    if os.geteuid() != 0:
        missing.insert(0, "root")
    if missing:
        raise click.UsageError(f"cutting cables needs {', '.join(missing)}; use --cuts 0 to run without")


def _places(cuts: int) -> AbstractContextManager[list[Place]]:
    if not cuts:
        return this_machine()
    from tools.soak.hosts import own_hosts  # noqa: PLC0415 - needs dependencies of the tests

    return own_hosts()
