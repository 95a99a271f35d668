"""The command `colugo distributor show`."""

import inspect
import sys
from pathlib import Path

import click
from rich.text import Text

from colugo.cli.distributor.distributor_options import (
    DEFAULT_SRC,
    load_plugins,
    log_level_option,
    set_log_level,
    src_option,
)
from colugo.cli.network.output import cell, clean, screen, table
from colugo.distributor.configuration.catalog import Catalog
from colugo.distributor.plugins.factory import Factory, Kind

_KINDS: dict[str, Kind] = {"targets": "target", "sources": "source", "formatters": "formatter"}


@click.command(
    epilog="""\b
Exit status:
  0  done
  1  at least one plugin cannot be loaded; the log has its traceback
  2  usage error

\b
Examples:
  colugo distributor show targets
  colugo distributor show targets --src plugins --verbose
  colugo distributor show sources
"""
)
@click.argument("kind", type=click.Choice(tuple(_KINDS)))
@src_option(DEFAULT_SRC)
@click.option("--verbose", is_flag=True, help="Show the documentation of each type, too.")
@log_level_option
def show(*, kind: str, src: Path | None, verbose: bool, log_level: str | None) -> None:
    """List types of targets, sources or formatters.

    Shows where each comes from, and its parameters; the required ones have no "?". A configuration names a
    type by `type = "NAME"`.
    """
    set_log_level(log_level)
    plugins = load_plugins(src)
    types = Catalog(plugins).all(_KINDS[kind])
    if verbose:
        for one in types:
            click.echo(clean(f"{one.name} ({one.origin}): {' '.join(_parameters(one))}"))
            for line in (inspect.getdoc(one.make) or "No documentation.").splitlines():
                click.echo(clean(f"    {line}".rstrip()))
            click.echo()
    else:
        rows = [[cell(one.name), cell(one.origin), Text(" ".join(_parameters(one)))] for one in types]
        screen().print(table(("type", "from", "parameters"), rows))
    sys.exit(1 if plugins is not None and plugins.problems else 0)


def _parameters(factory: Factory) -> list[str]:
    return [name if name in factory.required else f"{name}?" for name in factory.parameters]
