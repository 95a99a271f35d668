"""The command `colugo stream dead`."""

import click

from colugo.cli.network.options import json_option
from colugo.cli.network.output import clean, print_json
from colugo.cli.stream.access import Access, Found
from colugo.cli.stream.filters import filter_options, filters
from colugo.cli.stream.location import EXIT_STATUS, StreamLocation, location_options, run
from colugo.cli.stream.paging import letters
from colugo.cli.stream.tables import as_data, print_letters
from colugo.diagnosis.wording import count


@click.command(
    epilog=f"""{EXIT_STATUS}\b
Examples:
  colugo stream dead orders
  colugo stream dead orders --group billing --key 'order.*'
  colugo stream dead --store orders.db --json | jq -r '.[].id'
"""
)
@click.argument("words", nargs=-1, metavar="[TOPIC]")
@click.option(
    "--limit", type=click.IntRange(1), default=20, show_default=True, help="Dead letters to list per stream."
)
@filter_options
@location_options
@json_option
def dead(
    *,
    words: tuple[str, ...],
    limit: int,
    ids: tuple[str, ...],
    group: str | None,
    key: str | None,
    location: StreamLocation,
    as_json: bool,
) -> None:
    """List dead letters: messages that a consumer group failed to handle.

    `colugo stream show TOPIC ID` prints one with its traceback. Fix the cause, then resurrect or purge them.
    """
    rest = list(words)
    topic = location.topic(rest)
    if rest:
        raise location.usage_error(f"Got unexpected extra argument ({rest[0]})")
    wanted = filters(ids, group, key)

    async def work(access: Access, found: list[Found]) -> int:
        data = []
        for one in found:
            page = [letter async for letter in letters(access, one, wanted, limit)]
            data += [as_data(one, letter) for letter in page]
            if as_json:
                continue
            shown = f"; {len(page):,} shown" if wanted.given or len(page) < one.stream.dead else ""
            click.echo(clean(f"{one.name} has {count(one.stream.dead, 'dead letter')}{shown}."))
            if page:
                print_letters(page)
        if as_json:
            print_json(data)
        return 0

    run(location, topic, work)
