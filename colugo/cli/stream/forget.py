"""The command `colugo stream forget`."""

import click

from colugo.cli.network.output import clean
from colugo.cli.stream.access import Access, Found
from colugo.cli.stream.filters import filters
from colugo.cli.stream.location import (
    EXIT_STATUS,
    StreamLocation,
    confirm,
    location_options,
    print_error,
    run,
)
from colugo.diagnosis.number_formats import count, some
from colugo.introspection.stream_questions import STREAM_FORGET


@click.command(
    epilog=f"""{EXIT_STATUS}\b
Examples:
  colugo stream forget orders billing
  colugo stream forget orders billing --yes
  colugo stream forget --store orders.db billing
"""
)
@click.option("--yes", is_flag=True, help="Do not ask for confirmation if messages wait for the group.")
@click.argument("words", nargs=-1, metavar="[TOPIC] GROUP")
@location_options
def forget(*, words: tuple[str, ...], location: StreamLocation, yes: bool) -> None:
    """Remove a consumer group that is gone for good, so that streams stop keeping messages for it.

    All running streams of the topic forget the group, and tell the others when they start. The group's dead
    letters stay. A new consumer of the group registers it again.
    """
    topic, rest = location.topic(words, 1)
    if not rest:
        raise click.UsageError("Missing argument 'GROUP'.")
    (group,) = rest
    filters((), group, None)

    async def work(access: Access, found: list[Found]) -> int:
        if not _is_gone(found, group, yes=yes):
            return 1
        for one in found:
            known = await access.ask(one, STREAM_FORGET, group=group)
            outcome = "forgot" if known else "did not know"
            click.echo(clean(f"{one.name} {outcome} the group {group}."))
            if known and one.stream.messages and _stay(one):
                waiting = count(one.stream.messages, "message")
                click.echo(f"It keeps its {waiting} for the next consumer group.")
        return 0

    run(location, topic, work)


def _stay(one: Found) -> bool:
    """Return True if the stream keeps its messages when it forgets a group."""
    return one.stream.ack == "any" or len(one.stream.groups) == 1


def _is_gone(found: list[Found], group: str, *, yes: bool) -> bool:
    """Return True if a group is known, has no consumers, and the user agrees to forget it."""
    known = [(one, each) for one in found for each in one.stream.groups if each.name == group]
    if not known:
        names = some((each.name for one in found for each in one.stream.groups), 10)
        print_error(clean(f"no group {group} found; known groups: {names}" if names else "no groups found"))
        return False
    where = some(one.name for one, each in known if each.members)
    if where:
        print_error(clean(f"the group {group} is in use: it has consumers on {where}"))
        return False
    waiting = sum(each.waiting for one, each in known if not _stay(one))
    if waiting and not yes:
        confirm(f"{count(waiting, 'message')} may wait for {group} only and would be lost. Forget it?")
    return True
