"""The command `colugo distributor start`."""

import asyncio
import logging
import sys
from dataclasses import dataclass
from pathlib import Path

import click

from colugo.cli.distributor.distributor_options import (
    DEFAULT_SRC,
    drain_option,
    load_plugins,
    log_level_option,
    node_options,
    set_log_level,
    src_option,
)
from colugo.cli.distributor.running import NOT_LOADED, run_distributor, running_node
from colugo.cli.distributor.stopping import Stopping
from colugo.distributor import Assembly, Configuration, Distributor, PluginDirectory, read_configuration
from colugo.distributor.plugins.plugin_watcher import CAN_WATCH, NEEDS_WATCHFILES, watch
from colugo.distributor.sources.websocket_source import WebSocketSource
from colugo.errors import ConfigurationError, InvalidUrlException

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Options:
    ws_url: str | None
    configuration: Configuration
    plugins: PluginDirectory | None
    drain_ms: int
    watch: bool
    status: bool
    realm: str | None
    scope: str | None


@click.command(
    epilog="""\b
Exit status:
  0  stopped by SIGINT (Ctrl-C) or SIGTERM, or all sources have ended
  2  usage error, or an error in the configuration
  3  no source or no target could be loaded

\b
Examples:
  colugo distributor start --ws-url wss://alerts.example/feed
  colugo distributor start --ws-url ws://127.0.0.1:8080 --src plugins --log-level debug
  colugo distributor start --config alerts.toml --drain-ms 10000
"""
)
@click.option("--ws-url", metavar="URL", help="Take messages from this WebSocket: ws://… or wss://…")
@src_option(DEFAULT_SRC)
@click.option(
    "--config",
    "file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="A TOML file with sources, targets, formatters and routes.",
)
@log_level_option
@drain_option(None)
@click.option(
    "--watch/--no-watch",
    "follow",
    default=None,
    help="Load plugins again when they change.  [default: if watchfiles is installed]",
)
@click.option(
    "--status/--no-status",
    default=True,
    help="Show counters, if standard error is a terminal and no console target prints there.",
)
@node_options
def start(
    *,
    ws_url: str | None,
    src: Path | None,
    file: Path | None,
    log_level: str | None,
    drain_ms: int | None,
    follow: bool | None,
    status: bool,
    realm: str | None,
    scope: str | None,
) -> None:
    """Hand messages from sources to targets, until stopped.

    All plugins of --src are used, and the sources and targets of --config. When stopped, the sources close
    first. Waiting messages are tried once more; then each target prints how many it has not sent. A second
    Ctrl-C ends at once.
    """
    try:
        configuration = Configuration() if file is None else read_configuration(file)
        set_log_level(log_level or configuration.log_level)
        plugins = load_plugins(src or configuration.src)
        options = _Options(
            ws_url=ws_url,
            configuration=configuration,
            plugins=plugins,
            drain_ms=configuration.drain_ms if drain_ms is None else drain_ms,
            watch=_may_watch(plugins, wanted=follow),
            status=status,
            realm=realm,
            scope=scope,
        )
        with Stopping(options.drain_ms) as stopping:
            sys.exit(asyncio.run(_run(options, stopping)))
    except (ConfigurationError, InvalidUrlException) as error:
        raise click.UsageError(str(error)) from error


def _may_watch(plugins: PluginDirectory | None, *, wanted: bool | None) -> bool:
    if plugins is None or wanted is False:
        return False
    if wanted is None and not CAN_WATCH:
        _LOGGER.warning("changes of plugins are not followed, because %s", NEEDS_WATCHFILES)
        return False
    if not CAN_WATCH:
        raise ConfigurationError(NEEDS_WATCHFILES)
    return True


async def _run(options: _Options, stopping: Stopping) -> int:
    async with running_node("distributor", options.realm, options.scope) as node:
        distributor = Distributor(node)
        if options.ws_url is not None:
            distributor.add_source(WebSocketSource(options.ws_url), name="websocket")
        assembly = Assembly(distributor, options.configuration, options.plugins)
        assembly.add_all()
        if not distributor.sources and not options.configuration.sources:
            raise click.UsageError("no source: give --ws-url, --config, or --src with a create_NAME_source()")
        if not distributor.sources or not distributor.targets:
            missing = "target" if distributor.sources else "source"
            click.echo(f"Error: no {missing} could be loaded{_hint(options)}", err=True)
            return NOT_LOADED
        watching = watch(options.plugins.path, assembly.reload) if options.plugins and options.watch else None
        await run_distributor(distributor, stopping, watching=watching, status=options.status)
    return 0


def _hint(options: _Options) -> str:
    if options.plugins is None:
        return ", because neither --src nor --config is given, and no directory 'targets' is here"
    return f" from {options.plugins.path}; `colugo distributor show` lists the types"
