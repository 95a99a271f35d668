"""The commands `colugo distributor example` and `timing`."""

import asyncio
import time
from collections.abc import Callable
from typing import Any, TypeVar

import click

from colugo.distributor import Distributor, GeneratorSource, TargetOptions, ThreadedDistributionTarget

F = TypeVar("F", bound=Callable[..., Any])


class PrintingTarget(ThreadedDistributionTarget):
    """A target that prints its messages, on ten threads."""

    def process(self, message: Any) -> None:
        """Print a message."""
        click.echo(message)

    def on_error(self, exception: BaseException) -> None:
        """Print an error."""
        click.echo(f"not printed: {exception}", err=True)


class CountingTarget(ThreadedDistributionTarget):
    """A target that does nothing but count, on one thread."""

    completed = 0

    def __init__(self) -> None:
        super().__init__(poolsize=1)

    def process(self, message: Any) -> None:
        """Do nothing."""

    def on_complete(self, result: Any) -> None:  # noqa: ARG002 - the interface
        """Count a message."""
        self.completed += 1


def _arguments(command: F) -> F:
    # There is one so far, so no command needs its name.
    name = click.argument(
        "name",
        type=click.Choice(["threadedtarget"]),
        default="threadedtarget",
        required=False,
        expose_value=False,
    )
    count = click.option(
        "--count", type=click.IntRange(min=1), default=1000, show_default=True, help="The number of messages."
    )
    return name(count(command))


async def _run_through(target: ThreadedDistributionTarget, count: int) -> None:
    """Hand messages from a generator to a target, and wait until it has sent them all."""
    distributor = Distributor()
    source = GeneratorSource(f"hello world #{number}" for number in range(count))
    distributor.add_source(source)
    distributor.add_target(target, options=TargetOptions(full="wait"))
    running = asyncio.create_task(distributor.run())
    await distributor.start()
    await source.wait_ended()
    await distributor.shutdown()
    await running


@click.command(
    epilog="""\b
Examples:
  colugo distributor example
  colugo distributor example threadedtarget --count 10
"""
)
@_arguments
def example(*, count: int) -> None:
    """Print messages through a target with threads of its own.

    The target has ten threads, so that lines may change places.
    """
    asyncio.run(_run_through(PrintingTarget(), count))


@click.command(
    epilog="""\b
Exit status:
  0  measured
  1  messages were lost

\b
Examples:
  colugo distributor timing
  colugo distributor timing threadedtarget --count 1000000
"""
)
@_arguments
def timing(*, count: int) -> None:
    """Measure how fast messages pass a distributor.

    A source makes messages, and one thread of a target does nothing with them.
    """
    target = CountingTarget()
    began = time.perf_counter()
    asyncio.run(_run_through(target, count))
    elapsed = time.perf_counter() - began
    click.echo(f"Elapsed time: {elapsed:0.6f} s for {count:,} messages, {count / elapsed:,.0f} messages/s")
    if target.completed != count:
        raise click.ClickException(f"{count - target.completed} messages were lost")
