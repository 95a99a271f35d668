"""Options of the commands that run one source or one target."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from colugo.cli.distributor.distributor_options import (
    F,
    drain_option,
    load_plugins,
    log_level_option,
    node_options,
    set_log_level,
    src_option,
)
from colugo.distributor.configuration.catalog import Catalog
from colugo.distributor.configuration.configuration_file import Configuration, Section
from colugo.distributor.configuration.making import Maker
from colugo.distributor.configuration.values import KeyPath, converted_text
from colugo.distributor.plugins.factory import Factory, Kind
from colugo.errors import ConfigurationError
from colugo.protocol.topics import TopicPattern, check_topic

EXIT_STATUS = """\b
Exit status:
  0  stopped by SIGINT (Ctrl-C) or SIGTERM
  1  the node cannot start, or the file of a stream cannot be opened
  2  usage error
  3  the plugin cannot be loaded

"""


@dataclass(frozen=True, slots=True)
class EndpointOptions:
    """The options of a command that runs one source or one target."""

    topic: str
    name: str
    section: Section
    maker: Maker
    reliable: bool
    drain_ms: int
    realm: str | None
    scope: str | None


def endpoint_options(command: F) -> F:
    """Add the arguments TYPE and ARGS and the options of both commands; see `read_options`."""
    for option in (
        node_options,
        drain_option(),
        log_level_option,
        src_option(),
        click.option(
            "--set",
            "settings",
            multiple=True,
            metavar="KEY=VALUE",
            help="Set another parameter; VALUE is text, or written as in TOML.  [repeatable]",
        ),
        click.option("--name", help="A name for nodes, logs and consumer groups.  [default: TYPE]"),
        click.option("--reliable", is_flag=True, help="Keep messages until all targets have sent them."),
        click.option("--topic", required=True, help="The topic that connects sources and targets."),
        click.argument("words", nargs=-1, required=True, metavar="TYPE [ARGS]..."),
    ):
        command = option(command)
    return command


def read_options(
    kind: Kind,
    *,
    words: tuple[str, ...],
    settings: tuple[str, ...],
    src: Path | None,
    name: str | None,
    log_level: str | None,
    topic: str,
    **others: Any,
) -> EndpointOptions:
    """Set the log level, load plugins, and return the options of a command.

    Raises:
        click.UsageError: if they cannot work.
    """
    set_log_level(log_level)
    type_name, *arguments = words
    try:
        if kind == "source":
            check_topic(topic)
        else:
            TopicPattern(topic)
        catalog = Catalog(None if src is None else load_plugins(src))
        factory = catalog.find(kind, type_name, KeyPath("TYPE"))
    except ConfigurationError as error:
        raise click.UsageError(str(error)) from error
    section = section_of(factory, arguments, settings)
    maker = Maker(catalog, Configuration(), converted_text)
    return EndpointOptions(topic, name or type_name, section, maker, **others)


def section_of(factory: Factory, words: Sequence[str], settings: Iterable[str]) -> Section:
    """Return the section of a source or target.

    Args:
        factory: its type.
        words: the first parameters of the type, in order. `HOST:PORT` stands for `host` and `port`; an
            address in IPv6 has brackets. The one that has a default may be missing.
        settings: further parameters as `KEY=VALUE`.

    Raises:
        click.UsageError: if they do not fit.
    """
    values: dict[str, str] = {}
    names = [name for name, one in factory.parameters.items() if one.kind is one.POSITIONAL_OR_KEYWORD]
    for word in words:
        if names[:2] in (["host", "port"], ["port", "host"]):
            values |= _address(word, first=names[0])
            names = names[2:]
        elif names:
            values[names.pop(0)] = word
        else:
            raise click.UsageError(f"Got unexpected extra argument ({word})")
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals:
            raise click.UsageError(f"--set takes KEY=VALUE, not {setting!r}")
        values[key.strip()] = value
    return Section(factory.name, dict(values), KeyPath(f"{factory.kind} {factory.name}"))


def _address(word: str, first: str) -> dict[str, str]:
    """Split `HOST:PORT`, `PORT` or `HOST` into host and port."""
    if word.isdecimal() and first == "port":
        return {"port": word}
    try:
        parts = urlsplit(f"//{word}")
        host, port = parts.hostname, parts.port
        fits = bool(host) and parts.netloc == word and "@" not in word
    except ValueError:
        host, port, fits = None, None, False
    if not fits or host is None or (port is None and first == "port"):
        form = "[HOST:]PORT" if first == "port" else "HOST:PORT"
        raise click.UsageError(f"{word!r} is not an address: write {form}, and IPv6 as [::1]:PORT")
    return {"host": host} | ({} if port is None else {"port": str(port)})
