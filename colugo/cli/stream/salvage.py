"""The command `colugo stream salvage`."""

import sys
from pathlib import Path

import click

from colugo.cli.network.options import INTERRUPTED
from colugo.cli.stream.location import print_error
from colugo.diagnosis.number_formats import count
from colugo.errors import StoreError
from colugo.store.recovery.salvage import Salvaged
from colugo.store.recovery.salvage import salvage as copy

_SHOWN = 20
_NO_END = 2**63 - 1


@click.command(
    epilog="""\b
Exit status:
  0    everything was copied
  1    something could not be read, or the copy could not be written
  2    usage error
  130  interrupted by Ctrl-C

\b
Examples:
  colugo stream salvage orders.db orders-salvaged.db
"""
)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("new", type=click.Path(path_type=Path))
def salvage(*, file: Path, new: Path) -> None:
    """Copy the readable part of a damaged store FILE to a NEW one.

    Does not change FILE or its log (FILE-wal). A stream can continue with the copy.
    """
    try:
        found = copy(file, new)
    except StoreError as error:
        print_error(str(error))
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    if found.new_stream and not (found.messages or found.dead or found.groups or found.attempts):
        new.unlink()
        print_error(f"nothing could be read from {file}: it is not a store, or all of it is damaged")
        sys.exit(1)
    click.echo(
        f"{new} has {count(found.messages, 'message')}, {count(found.dead, 'dead letter')} and "
        f"{count(found.groups, 'group')}."
    )
    losses = list(_losses(found))
    for loss in losses:
        click.echo(loss)
    sys.exit(1 if losses else 0)


def _range(first: int, last: int) -> str:
    if last == _NO_END:
        return f"{first} and any later ones"
    return f"{first}" if first == last else f"{first}-{last}"


def _losses(found: Salvaged) -> list[str]:
    losses = []
    if found.damaged_pages or found.damaged_rows:
        pages, rows = count(found.damaged_pages, "page"), count(found.damaged_rows, "row")
        verb = "was" if found.damaged_rows == 1 else "were"
        losses.append(f"{pages} could not be read completely; {rows} in them {verb} damaged.")
    if found.lost:
        ranges = [_range(first, last) for first, last in found.lost]
        shown = ", ".join(ranges[:_SHOWN]) + (" …" if len(ranges) > _SHOWN else "")
        losses.append(f"Messages with these numbers are lost, unless they were acknowledged before: {shown}")
    if found.new_stream:
        losses.append("The stream's id is lost: consumers will treat the copy as another stream.")
    if found.uncertain:
        losses.append("The copy may contain messages that were acknowledged before.")
    return losses
