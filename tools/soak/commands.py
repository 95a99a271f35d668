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
@click.option("--messages", type=click.IntRange(1), default=200_000, help="How many are confirmed at least.")
@click.option("--kills", type=click.IntRange(0), default=300, help="How many processes are killed.")
@click.option(
    "--cuts",
    type=click.IntRange(0),
    default=12,
    help="How often a cable is cut; 0: no hosts of its own, and no root needed.",
)
@click.option("--seconds", type=click.FloatRange(1), default=600.0, help="How long that takes, roughly.")
@click.option("--seed", type=click.IntRange(0), default=1, help="All that is random follows from it.")
@click.option("--producers", type=click.IntRange(1), default=3, help="How many processes send.")
@click.option("--members", type=click.IntRange(1), default=3, help="How many consumers each group has.")
@click.option("--senders", type=click.IntRange(0), default=2, help="How many send by a relay; 0: none.")
@click.option("--listeners", type=click.IntRange(1), default=2, help="How many the relay gives messages to.")
@click.option("--max-messages", type=click.IntRange(1), default=500, help="How many a stream holds.")
@click.option(
    "--into",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep all files in this folder, which is to be empty or not there.",
    show_default="a temporary one, kept if it fails",
)
def main(*, folder: Path | None, **plan: int) -> None:
    """Send messages through streams while processes are killed and cables are cut, and miss none.

    A command ends with status 0 if all confirmed messages were handled by each group, nothing came twice
    without being flagged, and the stores are empty and whole; else with 1: then it tells what is known of
    what is missing, and its files stay.

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
    """Refuse to cut cables where that is not possible."""
    missing = [command for command in ("ip", "nft") if shutil.which(command) is None]
    if os.geteuid() != 0:
        missing.insert(0, "root")
    if missing:
        raise click.UsageError(f"to cut cables takes {', '.join(missing)}; --cuts 0 goes without cables")


def _places(cuts: int) -> AbstractContextManager[list[Place]]:
    if not cuts:
        return this_machine()
    from tools.soak.hosts import own_hosts  # noqa: PLC0415 - it needs what only the tests need

    return own_hosts()
