"""Where the commands look for streams, and how they end."""

import asyncio
import functools
import signal
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import click

from colugo.cli.network.gather import GatherOptions
from colugo.cli.network.options import BY_CTRL_C, discovery_options
from colugo.cli.network.output import clean
from colugo.cli.stream.access import Access, Found
from colugo.cli.stream.in_file import InFile
from colugo.cli.stream.over_network import OverNetwork
from colugo.diagnosis.wording import some
from colugo.errors import ColugoError, ConfigurationError

Work = Callable[[Access, list[Found]], Awaitable[int]]
"""What a command does with the streams that were found; returns its exit status."""

EXIT_STATUS = """\b
Exit status:
  0    done
  1    no such stream, message, dead letter or group; or one cannot be read or asked
  2    wrong usage
  130  ended by Ctrl-C

"""


@dataclass(frozen=True, slots=True)
class StreamLocation:
    """Where to look.

    Attributes:
        store: the file; None for running nodes.
        node: name of a node, or the beginning of its id; None for all.
        wish: of the network.
    """

    store: Path | None
    node: str | None
    wish: GatherOptions

    def topic(self, words: list[str]) -> str | None:
        """Take the topic off a command's arguments; there is none if a file is given.

        Raises:
            click.UsageError: if it is missing.
        """
        if self.store is not None:
            return None
        if not words:
            raise click.UsageError("Missing argument 'TOPIC', or option '--store'.")
        return words.pop(0)

    def wrong(self, text: str) -> click.UsageError:
        """What to raise when there is an argument too many, or one that does not fit."""
        hint = "; --store is one stream: leave TOPIC out" if self.store is not None else ""
        return click.UsageError(text + hint)


def place_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --store, --node, --realm, --scope and --wait; the command gets a `place`."""

    @functools.wraps(command)
    def with_place(
        *,
        store: Path | None,
        node: str | None,
        realm: str | None,
        scope: str | None,
        wait: float,
        **others: Any,
    ) -> Any:
        if store is not None and node is not None:
            raise click.UsageError("--store is a file that no node has open: leave --node out")
        return command(place=StreamLocation(store, node, GatherOptions(realm, scope, wait)), **others)

    store = click.option(
        "--store",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        metavar="FILE",
        help="A store that no node has open, instead of running nodes; then no TOPIC is given.",
    )
    node = click.option("--node", metavar="NAME", help="Only streams of this node: its name, or its id.")
    return store(node(discovery_options(with_place)))


def run(place: StreamLocation, topic: str | None, work: Work) -> NoReturn:
    """Find streams, do the work, and leave with its exit status.

    Args:
        place: where to look.
        topic: of the streams, or a pattern; None for all.
        work: what to do.

    Raises:
        SystemExit: in the end.
        click.UsageError: if something that was given cannot work.
    """
    try:
        sys.exit(asyncio.run(_work(place, topic, work)))
    except ConfigurationError as error:
        raise click.UsageError(str(error)) from error
    except ColugoError as error:
        complain(str(error))
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(BY_CTRL_C)


def complain(text: str) -> None:
    """Say on standard error what went wrong."""
    click.echo(f"Error: {text}", err=True)


def confirm(question: str) -> None:
    """Ask whether to go on.

    Raises:
        click.Abort: if not.
        SystemExit: by Ctrl-C; asyncio's own handler would only cancel the task, which notices nothing of that
            until it has its answer.
    """

    def interrupted(*_: object) -> NoReturn:
        click.echo(err=True)  # the question's line has no end yet
        sys.exit(BY_CTRL_C)

    before = signal.signal(signal.SIGINT, interrupted)
    try:
        click.confirm(clean(question), abort=True, err=True)
    finally:
        signal.signal(signal.SIGINT, before)


async def _work(place: StreamLocation, topic: str | None, work: Work) -> int:
    opened = OverNetwork(place.wish, topic, place.node) if place.store is None else InFile(place.store)
    async with opened as access:
        streams = await access.streams()
        for name, why in streams.silent.items():
            complain(f"{name} does not answer: {why}")
        if not streams.found and topic is not None:
            complain(await _nowhere(place, topic))
            return 1
        status = await work(access, streams.found)
        return status or int(bool(streams.silent))


async def _nowhere(place: StreamLocation, topic: str) -> str:
    """That there is no such stream, and which there are."""
    async with OverNetwork(place.wish, None, None) as access:
        found = (await access.streams()).found
    where = f" at node {place.node}" if place.node is not None else ""
    hint = f". A file of that name is there: to read it, write --store {topic}" if _is_file(topic) else ""
    if found:
        others = f"; there are: {some((one.name for one in found), 10)}"
    else:
        others = ", nor any other; see `colugo nodes` and `colugo doctor`"
    return f"no stream {topic} is found{where}{others}{hint}"


def _is_file(topic: str) -> bool:
    try:
        return Path(topic).is_file()
    except OSError:  # in a folder that may not be entered
        return False
