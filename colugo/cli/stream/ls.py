"""The command `colugo stream ls`."""

from pathlib import Path

import click
import msgspec

from colugo.cli.network.options import json_option
from colugo.cli.network.output import cell, print_json, screen, table
from colugo.cli.stream.access import Access, Found
from colugo.cli.stream.location import EXIT_STATUS, StreamLocation, location_options, run
from colugo.cli.stream.tables import amount

_COLUMNS = ("topic", "node", "messages", "size", "dead", "group", "members", "waiting", "in flight")
_NUMBERS = ("messages", "size", "dead", "members", "waiting", "in flight")


@click.command(
    epilog=f"""{EXIT_STATUS}\b
Examples:
  colugo stream ls
  colugo stream ls 'orders.#' --json
  colugo stream ls --store orders.db
"""
)
@click.argument("topic", required=False)
@location_options
@json_option
def ls(*, topic: str | None, location: StreamLocation, as_json: bool) -> None:
    """List streams with their sizes and consumer groups.

    TOPIC may be a pattern: * matches one word, # any number of words. If messages wait for a group without
    members, start a consumer in the group or forget it.
    """
    if location.store is not None and topic is not None:
        raise click.UsageError("--store names one stream: leave TOPIC out")

    async def work(_: Access, found: list[Found]) -> int:
        if as_json:
            print_json([{"node": one.node, **msgspec.to_builtins(one.stream)} for one in found])
        elif found:
            rows = (map(cell, row) for one in found for row in _rows(one))
            screen().print(table(_COLUMNS, rows, right=_NUMBERS))
        else:
            click.echo("No streams found. If you expected some, run `colugo nodes` or `colugo doctor`.")
        return 0 if found else 1

    run(location, topic, work)


def _rows(one: Found) -> list[list[str]]:
    """List the groups of a stream, one row each, of which only the first shows the stream."""
    stream = one.stream
    row = [stream.topic or "-", one.node or Path(stream.store).name]
    row += [f"{stream.messages:,}", amount(stream.bytes), f"{stream.dead:,}"]
    rows = []
    for group in sorted(stream.groups, key=lambda each: each.name):
        numbers = group.members, group.waiting, group.in_flight
        rows.append([*row, group.name, *(f"{number:,}" for number in numbers)])
        row = [""] * len(row)
    return rows or [row]
