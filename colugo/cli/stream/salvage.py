"""`colugo stream salvage`."""

import sys
from pathlib import Path

import click

from colugo.cli.network.options import BY_CTRL_C
from colugo.cli.stream.place import complain
from colugo.diagnosis.wording import count
from colugo.errors import StoreError
from colugo.store.recovery.salvage import Salvaged
from colugo.store.recovery.salvage import salvage as copy

_SHOWN = 20
_NO_END = 2**63 - 1


@click.command(
    epilog="""\b
Exit status:
  0    everything has been copied
  1    something could not be read, or nothing could be written
  2    wrong usage
  130  ended by Ctrl-C

\b
Examples:
  colugo stream salvage orders.db orders-salvaged.db
"""
)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("new", type=click.Path(path_type=Path))
def salvage(*, file: Path, new: Path) -> None:
    """Copy what can be read of a damaged store FILE into a NEW one.

    FILE and its log (FILE-wal) are not changed. The copy is a store that a stream can go on with.
    """
    try:
        found = copy(file, new)
    except StoreError as error:
        complain(str(error))
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(BY_CTRL_C)
    if found.new_stream and not (found.messages or found.dead or found.groups or found.attempts):
        new.unlink()
        complain(f"nothing could be read of {file}: it is no store, or all of it is damaged")
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
        return f"{first} and all that may have followed"
    return f"{first}" if first == last else f"{first}-{last}"


def _losses(found: Salvaged) -> list[str]:
    losses = []
    if found.damaged_pages or found.damaged_rows:
        pages, rows = count(found.damaged_pages, "page"), count(found.damaged_rows, "row")
        losses.append(f"{pages} could not be read, or not whole; {rows} of them were damaged.")
    if found.lost:
        ranges = [_range(first, last) for first, last in found.lost]
        shown = ", ".join(ranges[:_SHOWN]) + (" …" if len(ranges) > _SHOWN else "")
        losses.append(f"Messages with these numbers are lost, unless they had been acknowledged: {shown}")
    if found.new_stream:
        losses.append("The stream's id is lost: consumers take the copy for another stream.")
    if found.uncertain:
        losses.append("Messages that had been acknowledged may be among those that were copied.")
    return losses
