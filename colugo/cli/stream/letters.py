"""The commands on dead letters: `colugo stream dead`, `resurrect` and `purge`."""

from collections.abc import Callable
from typing import Any

import click

from colugo.cli.network.options import json_option
from colugo.cli.network.output import clean, print_json
from colugo.cli.stream.access import Access, Found
from colugo.cli.stream.filters import LetterFilters, filter_options, filters
from colugo.cli.stream.location import (
    EXIT_STATUS,
    StreamLocation,
    confirm,
    location_options,
    print_error,
    run,
)
from colugo.cli.stream.paging import letters
from colugo.cli.stream.tables import as_data, print_letters
from colugo.diagnosis.number_formats import count, some
from colugo.introspection.stream_questions import STREAM_PURGE, STREAM_RESURRECT

_MOST_CHECKED = 1000


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
    topic, _ = location.topic(words)
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


def _which(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the topic, the filters, --all and the location options."""
    everything = click.option(
        "--all", "everything", is_flag=True, help="Select all dead letters of the stream."
    )
    words = click.argument("words", nargs=-1, metavar="[TOPIC]")
    return words(everything(filter_options(location_options(command))))


@click.command(
    epilog=f"""{EXIT_STATUS}\b
Examples:
  colugo stream resurrect orders --group billing
  colugo stream resurrect orders --id 2f6b4c1d9e8a7035-17 --id 2f6b4c1d9e8a7035-20
  colugo stream resurrect --store orders.db --all
"""
)
@_which
def resurrect(
    *,
    words: tuple[str, ...],
    everything: bool,
    ids: tuple[str, ...],
    group: str | None,
    key: str | None,
    location: StreamLocation,
) -> None:
    """Deliver dead letters again, to the group that failed to handle them.

    Each becomes a new message at the end of its stream. The header colugo-first-id holds its original id.
    """
    topic, wanted = _read(words, location, filters(ids, group, key), everything=everything)

    async def work(access: Access, found: list[Found]) -> int:
        # streams that do not know the group would refuse
        selected = [
            one for one in found if wanted.group in {None, *(each.name for each in one.stream.groups)}
        ]
        done = await _for_each(access, selected, STREAM_RESURRECT, wanted, "queued for redelivery")
        stay: dict[str, None] = {}
        for one in found:
            known = {group.name for group in one.stream.groups}
            async for letter in letters(access, one, wanted, _MOST_CHECKED):
                if letter.group not in known:
                    stay[letter.group] = None
        if stay:
            text = f"the dead letters of {some(stay)} stay, because the group no longer exists"
            print_error(f"{text}: start a consumer in it first, or purge them")
        return done

    run(location, topic, work)


@click.command(
    epilog=f"""{EXIT_STATUS}\b
Examples:
  colugo stream purge orders --key 'order.test.#'
  colugo stream purge orders --id 2f6b4c1d9e8a7035-17 --yes
  colugo stream purge --store orders.db --all
"""
)
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@_which
def purge(
    *,
    words: tuple[str, ...],
    everything: bool,
    ids: tuple[str, ...],
    group: str | None,
    key: str | None,
    location: StreamLocation,
    yes: bool,
) -> None:
    """Delete dead letters permanently."""
    topic, wanted = _read(words, location, filters(ids, group, key), everything=everything)

    async def work(access: Access, found: list[Found]) -> int:
        if not yes and any(one.stream.dead for one in found):
            where = some(f"{one.name} ({count(one.stream.dead, 'dead letter')})" for one in found)
            which = f"those {wanted}" if wanted.given else "all"
            confirm(f"{where}: delete {which} permanently?")
        return await _for_each(access, found, STREAM_PURGE, wanted, "deleted")

    run(location, topic, work)


def _read(
    words: tuple[str, ...], location: StreamLocation, wanted: LetterFilters, *, everything: bool
) -> tuple[str | None, LetterFilters]:
    topic, _ = location.topic(words)
    if everything and wanted.given:
        raise click.UsageError("--all excludes --id, --group and --key: leave one or the other out")
    if not everything and not wanted.given:
        raise click.UsageError("Select dead letters with --all, --id, --group or --key.")
    return topic, wanted


async def _for_each(
    access: Access, found: list[Found], question: str, wanted: LetterFilters, done: str
) -> int:
    """Ask each stream that has selected dead letters; return the exit status."""
    total = 0
    for one in found:
        arguments = wanted.of(one)
        if arguments is None:
            continue
        number = await access.ask(one, question, **arguments)
        total += number
        if number:
            click.echo(clean(f"{one.name}: {count(number, 'dead letter')} {done}."))
    if not total:
        print_error(f"no dead letters {wanted}" if wanted.given else "no dead letters found")
    return 0 if total else 1
