"""From the words of a command line to the section of a source or target."""

from collections.abc import Iterable, Sequence
from urllib.parse import urlsplit

import click

from colugo.distributor.configuration.configuration_file import Section
from colugo.distributor.configuration.values import KeyPath
from colugo.distributor.plugins.factory import Factory

set_option = click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="Set another parameter; VALUE is text, or written as in TOML.  [repeatable]",
)


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
