"""The command `colugo distributor start`."""

import asyncio
import logging
import sys
from contextlib import AbstractAsyncContextManager
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
from colugo.node import Node

_LOGGER = logging.getLogger(__name__)


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
@node_options
def start(
    *,
    ws_url: str | None,
    src: Path | None,
    file: Path | None,
    log_level: str | None,
    drain_ms: int | None,
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
        node = running_node("distributor", realm, scope)
        source = None if ws_url is None else WebSocketSource(ws_url)
        with Stopping(configuration.drain_ms if drain_ms is None else drain_ms) as stopping:
            sys.exit(asyncio.run(_run(stopping, node, source, configuration, plugins)))
    except (ConfigurationError, InvalidUrlException) as error:
        raise click.UsageError(str(error)) from error


async def _run(
    stopping: Stopping,
    running: AbstractAsyncContextManager[Node | None],
    source: WebSocketSource | None,
    configuration: Configuration,
    plugins: PluginDirectory | None,
) -> int:
    async with running as node:
        distributor = Distributor(node)
        if source is not None:
            distributor.add_source(source, name="websocket")
        assembly = Assembly(distributor, configuration, plugins)
        assembly.add_all()
        if not distributor.sources and not configuration.sources:
            raise click.UsageError("no source: give --ws-url, --config, or --src with a create_NAME_source()")
        if not distributor.sources or not distributor.targets:
            missing = "target" if distributor.sources else "source"
            click.echo(f"Error: no {missing} could be loaded{_hint(plugins)}", err=True)
            return NOT_LOADED
        watching = None
        if plugins is not None and CAN_WATCH:
            watching = watch(plugins.path, assembly.reload)
        elif plugins is not None:
            _LOGGER.warning("changes of plugins are not followed, because %s", NEEDS_WATCHFILES)
        await run_distributor(distributor, stopping, watching=watching, status=True)
    return 0


def _hint(plugins: PluginDirectory | None) -> str:
    if plugins is None:
        return ", because neither --src nor --config is given, and no directory 'targets' is here"
    return f" from {plugins.path}; `colugo distributor show` lists the types"
