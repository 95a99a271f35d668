"""`colugo stream resurrect` and `colugo stream purge`."""

from collections.abc import Callable
from typing import Any

import click

from colugo.cli.network.output import clean
from colugo.cli.stream.access import Access, Found
from colugo.cli.stream.filters import LetterFilters, filter_options, filters
from colugo.cli.stream.paging import letters
from colugo.cli.stream.place import EXIT_STATUS, StreamLocation, complain, confirm, place_options, run
from colugo.diagnosis.wording import count, some
from colugo.introspection.stream_questions import STREAM_PURGE, STREAM_RESURRECT

_LOOKED_AT = 1000


def _which(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the topic, the filters, --all and where to look."""
    everything = click.option("--all", "everything", is_flag=True, help="All dead letters of the stream.")
    words = click.argument("words", nargs=-1, metavar="[TOPIC]")
    return words(everything(filter_options(place_options(command))))


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
    place: StreamLocation,
) -> None:
    """Let dead letters be tried again, by the group that could not handle them.

    Each becomes a new message at the end of its stream; the header colugo-first-id has the id it had.
    """
    topic, wanted = _read(words, place, filters(ids, group, key), everything=everything)

    async def work(access: Access, found: list[Found]) -> int:
        # those that do not know the group would refuse
        meant = [one for one in found if wanted.group in {None, *(each.name for each in one.stream.groups)}]
        done = await _for_each(access, meant, STREAM_RESURRECT, wanted, "will be tried again")
        stay: dict[str, None] = {}
        for one in found:
            known = {group.name for group in one.stream.groups}
            async for letter in letters(access, one, wanted, _LOOKED_AT):
                if letter.group not in known:
                    stay[letter.group] = None
        if stay:
            text = f"the dead letters of {some(stay)} stay, as no such group is known any more"
            complain(f"{text}: start a consumer of it first, or purge them")
        return done

    run(place, topic, work)


@click.command(
    epilog=f"""{EXIT_STATUS}\b
Examples:
  colugo stream purge orders --key 'order.test.#'
  colugo stream purge orders --id 2f6b4c1d9e8a7035-17 --yes
  colugo stream purge --store orders.db --all
"""
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@_which
def purge(
    *,
    words: tuple[str, ...],
    everything: bool,
    ids: tuple[str, ...],
    group: str | None,
    key: str | None,
    place: StreamLocation,
    yes: bool,
) -> None:
    """Throw dead letters away, for good."""
    topic, wanted = _read(words, place, filters(ids, group, key), everything=everything)

    async def work(access: Access, found: list[Found]) -> int:
        if not yes and any(one.stream.dead for one in found):
            where = some(f"{one.name} ({count(one.stream.dead, 'dead letter')})" for one in found)
            which = f"those {wanted}" if wanted.given else "all"
            confirm(f"{where}: throw {which} away for good?")
        return await _for_each(access, found, STREAM_PURGE, wanted, "thrown away")

    run(place, topic, work)


def _read(
    words: tuple[str, ...], place: StreamLocation, wanted: LetterFilters, *, everything: bool
) -> tuple[str | None, LetterFilters]:
    rest = list(words)
    topic = place.topic(rest)
    if rest:
        raise place.wrong(f"Got unexpected extra argument ({rest[0]})")
    if everything and wanted.given:
        raise click.UsageError("--all means all: leave --id, --group and --key out, or --all")
    if not everything and not wanted.given:
        raise click.UsageError("Say which: --all, --id, --group or --key.")
    return topic, wanted


async def _for_each(
    access: Access, found: list[Found], question: str, wanted: LetterFilters, done: str
) -> int:
    """Ask each stream that has the dead letters; the exit status."""
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
        complain(f"there is no dead letter {wanted}" if wanted.given else "there are no dead letters")
    return 0 if total else 1
