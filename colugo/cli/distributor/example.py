"""The command `colugo distributor example`."""

import asyncio
from typing import Any

import click

from colugo.distributor import Distributor, TargetOptions, ThreadedDistributionTarget
from colugo.distributor.sources.generator_source import GeneratorSource

threaded_argument = click.argument(
    "name", type=click.Choice(["threadedtarget"]), default="threadedtarget", required=False
)
count_option = click.option(
    "--count", type=click.IntRange(min=1), default=1000, show_default=True, help="The number of messages."
)


class PrintingTarget(ThreadedDistributionTarget):
    """A target that prints its messages, on ten threads."""

    def process(self, message: Any) -> None:
        """Print a message."""
        click.echo(message)

    def on_error(self, exception: BaseException) -> None:
        """Print an error."""
        click.echo(f"not printed: {exception}", err=True)


async def run_through(target: ThreadedDistributionTarget, count: int) -> None:
    """Hand messages from a generator to a target, and wait until it has sent them all.

    Args:
        target: the target.
        count: the number of messages.
    """
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
@threaded_argument
@count_option
def example(*, name: str, count: int) -> None:  # noqa: ARG001 - so far there is one
    """Print messages through a target with threads of its own.

    The target has ten threads, so that lines may change places.
    """
    asyncio.run(run_through(PrintingTarget(), count))
