"""Running a distributor until it is stopped."""

import asyncio
import logging
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, NoReturn

import click
from rich.console import Console

from colugo.cli.distributor.endpoint_options import EndpointOptions
from colugo.cli.distributor.status_view import StatusView, can_show
from colugo.cli.distributor.stopping import Stopping, print_left
from colugo.distributor import AbstractDistributionSource, Distributor
from colugo.errors import ColugoError, ConfigurationError, DistributorException, InvalidUrlException
from colugo.node import Node

_LOGGER = logging.getLogger(__name__)
_CHECK_S = 0.5
NOT_LOADED = 3
"""The exit status if nothing could be loaded."""


@asynccontextmanager
async def running_node(name: str, realm: str | None, scope: str | None) -> AsyncIterator[Node | None]:
    """Run a node, or none if it cannot start, which is logged.

    Raises:
        ConfigurationError: if realm or scope cannot work.
    """
    made = Node(name, realm=realm, scope=scope)
    async with AsyncExitStack() as stack:
        node: Node | None = None
        try:
            node = await stack.enter_async_context(made)
        except ConfigurationError:
            raise
        except (ColugoError, OSError) as error:
            made.stop()
            _LOGGER.warning("no node, so neither topics nor streams can be used: %s", error)
        yield node


def run_endpoint(options: EndpointOptions, work: Callable[[Node, Stopping], Awaitable[None]]) -> NoReturn:
    """Run the node of one source or target, with work that ends when it is stopped, and exit."""

    async def run() -> None:
        async with Node(options.name, realm=options.realm, scope=options.scope) as node:
            await work(node, stopping)

    try:
        with Stopping(options.drain_ms) as stopping:
            asyncio.run(run())
    except (ConfigurationError, InvalidUrlException) as error:
        raise click.UsageError(str(error)) from error
    except DistributorException as error:
        _LOGGER.error("%s", error, exc_info=error.__cause__)  # noqa: TRY400 - only the plugin's traceback
        sys.exit(NOT_LOADED)
    except (ColugoError, OSError) as error:
        raise click.ClickException(str(error)) from error
    sys.exit(0)


async def run_distributor(
    distributor: Distributor,
    stopping: Stopping,
    *,
    watching: Coroutine[Any, Any, None] | None = None,
    on_start: Callable[[], object] = lambda: None,
    on_stop: Callable[[], object] = lambda: None,
    status: bool = False,
    started: str = "",
) -> None:
    """Run a distributor until a signal, or until all its sources have ended, and print what it has not sent.

    Args:
        distributor: the distributor.
        stopping: the wait for a signal.
        watching: changes the distributor while it runs.
        on_start: called when all targets are open.
        on_stop: called first when it is stopped.
        status: True to show counters, if they have a place on standard error.
        started: the line to print when it runs; "" for one that lists its sources and targets.
    """
    console = Console(stderr=True, highlight=False)
    beside = [asyncio.create_task(_stop_at_the_end(distributor, stopping), name="end of the sources")]
    if watching is not None:
        beside.append(asyncio.create_task(watching, name="plugins"))
    if status and can_show(distributor, console):
        beside.append(asyncio.create_task(StatusView(distributor, console).run(), name="status"))
    running = asyncio.create_task(_start_and_run(distributor, on_start, started), name="distributor")
    for task in (running, *beside):
        task.add_done_callback(_report)
    stopping.report = lambda: print_left(now := distributor.stats, now)
    await stopping.requested()
    before = distributor.stats
    stopping.report = lambda: print_left(before, distributor.stats)
    on_stop()
    for task in beside:
        task.cancel()
    await asyncio.wait(beside, timeout=stopping.left_ms / 2000)  # a reload may be under way
    after = await distributor.shutdown(stopping.left_ms)
    running.cancel()  # if targets are still being opened
    print_left(before, after)


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        _LOGGER.error("%s failed", task.get_name(), exc_info=error)


async def _start_and_run(distributor: Distributor, on_start: Callable[[], object], started: str) -> None:
    await distributor.start()
    on_start()
    sources, targets = ", ".join(distributor.sources), ", ".join(distributor.targets)
    click.echo(started or f"distributor: started; sources: {sources}; targets: {targets}", err=True)
    await distributor.run()


async def _stop_at_the_end(distributor: Distributor, stopping: Stopping) -> None:
    await wait_for_the_end(lambda: distributor.sources.values())  # noqa: PLW0108 - it changes
    stopping.request()


async def wait_for_the_end(sources: Callable[[], Collection[AbstractDistributionSource]]) -> None:
    """Wait until all sources have ended, such as standard input."""
    while not (found := sources()) or not all(  # noqa: ASYNC110 - plugins have no event
        getattr(source, "ended", False) for source in found
    ):
        await asyncio.sleep(_CHECK_S)
    _LOGGER.info("all sources have ended")
