"""`colugo stream forget`."""

import click

from colugo.cli.network.output import clean
from colugo.cli.stream.access import Access, Found
from colugo.cli.stream.filters import filters
from colugo.cli.stream.place import EXIT_STATUS, StreamLocation, complain, confirm, place_options, run
from colugo.diagnosis.wording import count, some
from colugo.introspection.stream_questions import STREAM_FORGET


@click.command(
    epilog=f"""{EXIT_STATUS}\b
Examples:
  colugo stream forget orders billing
  colugo stream forget orders billing --yes
  colugo stream forget --store orders.db billing
"""
)
@click.option("--yes", is_flag=True, help="Do not ask, though messages wait for the group.")
@click.argument("words", nargs=-1, metavar="[TOPIC] GROUP")
@place_options
def forget(*, words: tuple[str, ...], place: StreamLocation, yes: bool) -> None:
    """Forget a consumer group that is gone for good: no message is kept for it any more.

    All streams of the topic that are found do; they tell those that are not running now when they come. If
    a consumer of the group comes, it is known again. Its dead letters stay.
    """
    rest = list(words)
    topic = place.topic(rest)
    if len(rest) != 1:
        if not rest:
            raise click.UsageError("Missing argument 'GROUP'.")
        raise place.wrong(f"Got unexpected extra argument ({rest[1]})")
    (group,) = rest
    filters((), group, None)

    async def work(access: Access, found: list[Found]) -> int:
        if not _is_gone(found, group, yes=yes):
            return 1
        for one in found:
            known = await access.ask(one, STREAM_FORGET, group=group)
            outcome = "has forgotten" if known else "did not know"
            click.echo(clean(f"{one.name} {outcome} the group {group}."))
            if known and one.stream.messages and _stay(one):
                click.echo(
                    f"What it keeps ({count(one.stream.messages, 'message')}) waits for the next group."
                )
        return 0

    run(place, topic, work)


def _stay(one: Found) -> bool:
    """Whether messages stay though a group is forgotten."""
    return one.stream.ack == "any" or len(one.stream.groups) == 1


def _is_gone(found: list[Found], group: str, *, yes: bool) -> bool:
    """Whether it is known, has no consumers, and may be forgotten."""
    known = [(one, each) for one in found for each in one.stream.groups if each.name == group]
    if not known:
        names = some((each.name for one in found for each in one.stream.groups), 10)
        complain(clean(f"no group {group} is known; there are: {names}" if names else "no group is known"))
        return False
    where = some(one.name for one, each in known if each.members)
    if where:
        complain(clean(f"the group {group} is not gone: it has consumers at {where}"))
        return False
    waiting = sum(each.waiting for one, each in known if not _stay(one))
    if waiting and not yes:
        text = f"{count(waiting, 'message')} may wait for {group} only, and would be gone: forget it?"
        confirm(text)
    return True
