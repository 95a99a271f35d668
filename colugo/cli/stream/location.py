"""Where the commands look for streams, and how they exit."""

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
from colugo.cli.network.options import INTERRUPTED, discovery_options
from colugo.cli.network.output import clean
from colugo.cli.stream.access import Access, Found
from colugo.cli.stream.in_file import InFile
from colugo.cli.stream.over_network import OverNetwork
from colugo.diagnosis.number_formats import some
from colugo.errors import ColugoError, ConfigurationError

Work = Callable[[Access, list[Found]], Awaitable[int]]
"""The work of a command on the streams that were found; returns the exit status."""

EXIT_STATUS = """\b
Exit status:
  0    done
  1    no such stream, message, dead letter or group; or a stream cannot be read or does not answer
  2    usage error
  130  interrupted by Ctrl-C

"""


@dataclass(frozen=True, slots=True)
class StreamLocation:
    """The place to look for streams.

    Attributes:
        store: the store file; None for running nodes.
        node: the name of a node, or the beginning of its id; None for all.
    """

    store: Path | None
    node: str | None
    options: GatherOptions

    def topic(self, words: tuple[str, ...], most: int = 0) -> tuple[str | None, list[str]]:
        """Separate the topic, None with a file, from a command's other arguments, `most` at the most."""
        topic, rest = None, list(words)
        if self.store is None:
            if not rest:
                raise click.UsageError("Missing argument 'TOPIC', or option '--store'.")
            topic = rest.pop(0)
        if len(rest) > most:
            raise self.usage_error(f"Got unexpected extra argument ({rest[most]})")
        return topic, rest

    def usage_error(self, text: str) -> click.UsageError:
        """Make a usage error with a hint, if a file and a topic were given."""
        hint = "; --store names one stream: leave TOPIC out" if self.store is not None else ""
        return click.UsageError(text + hint)


def location_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --store, --node, --realm, --scope and --wait; the command gets a `location`."""

    @functools.wraps(command)
    def with_location(
        *,
        store: Path | None,
        node: str | None,
        realm: str | None,
        scope: str | None,
        wait: float,
        **others: Any,
    ) -> Any:
        if store is not None and node is not None:
            raise click.UsageError("--store opens a file without a node: leave --node out")
        return command(location=StreamLocation(store, node, GatherOptions(realm, scope, wait)), **others)

    store = click.option(
        "--store",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        metavar="FILE",
        help="Open a store file that no running node uses; give no TOPIC then.",
    )
    node = click.option("--node", metavar="NAME", help="Only streams of this node, by name or id.")
    return store(node(discovery_options(with_location)))


def run(location: StreamLocation, topic: str | None, work: Work) -> NoReturn:
    """Find the streams of a topic (None: all), work on them, and exit with the status of the work."""
    try:
        sys.exit(asyncio.run(_work(location, topic, work)))
    except ConfigurationError as error:
        raise click.UsageError(str(error)) from error
    except ColugoError as error:
        print_error(str(error))
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


def print_error(text: str) -> None:
    """Print an error to standard error."""
    click.echo(f"Error: {text}", err=True)


def confirm(question: str) -> None:
    """Ask the user for confirmation; abort if the user declines."""

    # asyncio's own handler would only cancel the task, which blocks here until the user answers
    def interrupted(*_: object) -> NoReturn:
        click.echo(err=True)  # end the line of the question
        sys.exit(INTERRUPTED)

    before = signal.signal(signal.SIGINT, interrupted)
    try:
        click.confirm(clean(question), abort=True, err=True)
    finally:
        signal.signal(signal.SIGINT, before)


async def _work(location: StreamLocation, topic: str | None, work: Work) -> int:
    if location.store is None:
        opened: OverNetwork | InFile = OverNetwork(location.options, topic, location.node)
    else:
        opened = InFile(location.store)
    async with opened as access:
        found, silent = await access.streams()
        for name, why in silent.items():
            print_error(f"{name} does not answer: {why}")
        if not found and topic is not None:
            print_error(await _not_found(location, topic))
            return 1
        return await work(access, found) or int(bool(silent))


async def _not_found(location: StreamLocation, topic: str) -> str:
    """Explain that there is no such stream, and list the others."""
    async with OverNetwork(location.options, None, None) as access:
        found, _ = await access.streams()
    where = f" on node {location.node}" if location.node is not None else ""
    hint = f". There is a file of that name: to open it, use --store {topic}" if _is_file(topic) else ""
    others = ", nor any other; run `colugo nodes` or `colugo doctor`"
    if found:
        others = f"; known streams: {some((one.name for one in found), 10)}"
    return f"no stream {topic} found{where}{others}{hint}"


def _is_file(topic: str) -> bool:
    try:
        return Path(topic).is_file()
    except OSError:  # no permission to enter its folder
        return False
