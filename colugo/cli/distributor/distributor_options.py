"""Options that the commands of the distributor share."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from colugo.distributor.distributor import DEFAULT_DRAIN_MS
from colugo.distributor.plugins.plugin_directory import PluginDirectory
from colugo.errors import ConfigurationError

F = TypeVar("F", bound=Callable[..., Any])

ANY_SPELLING = {
    "token_normalize_func": lambda word: word.replace("_", "-"),
    "help_option_names": ["-h", "--help"],
}
"""Context settings that accept --log_level for --log-level, as TVTrader agents have it."""
DEFAULT_SRC = "targets"
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")

log_level_option = click.option(
    "--log-level",
    type=click.Choice(LEVELS, case_sensitive=False),
    help="Log from this level on to standard error.  [default: INFO]",
)


def src_option(default: str = "") -> Callable[[F], F]:
    """Add --src."""
    text = f"  [default: {default}, if it exists]" if default else ""
    return click.option(
        "--src",
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        metavar="DIRECTORY",
        help=f"A directory of plugins: functions create_NAME_target() and create_NAME_source().{text}",
    )


def drain_option(default: int | None = DEFAULT_DRAIN_MS) -> Callable[[F], F]:
    """Add --drain-ms; None if a configuration may give the default."""
    return click.option(
        "--drain-ms",
        type=click.IntRange(min=0),
        default=default,
        metavar="MS",
        help=f"Milliseconds to send what waits when the command is stopped.  [default: {DEFAULT_DRAIN_MS}]",
    )


def node_options(command: F) -> F:
    """Add --realm and --scope."""
    scope = click.option(
        "--scope",
        help="host, lan, or a list of interfaces and addresses.  [default: COLUGO_SCOPE, or lan]",
    )
    realm = click.option("--realm", help="The realm of the node.  [default: COLUGO_REALM, or default]")
    return realm(scope(command))


def set_log_level(name: str | None) -> None:
    """Log from a level on; None for INFO, or lower if `colugo -vv` says so.

    Raises:
        ConfigurationError: if there is no level of that name.
    """
    root = logging.getLogger()
    logging.getLogger("watchfiles").setLevel(logging.WARNING)
    if name is None:
        root.setLevel(min(root.level, logging.INFO))
    elif name.upper() in LEVELS:
        root.setLevel(name.upper())
    else:
        raise ConfigurationError(f"log_level must be one of {', '.join(LEVELS)}, not {name!r}")


def load_plugins(src: Path | None) -> PluginDirectory | None:
    """Load the plugins of a directory, by default of `targets` if it exists."""
    if src is None and not Path(DEFAULT_SRC).is_dir():
        return None
    plugins = PluginDirectory(src or DEFAULT_SRC)
    plugins.refresh()
    return plugins
