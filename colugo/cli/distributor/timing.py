"""The command `colugo distributor timing`."""

import asyncio
import time
from typing import Any

import click

from colugo.cli.distributor.example import count_option, run_through, threaded_argument
from colugo.distributor import ThreadedDistributionTarget


class CountingTarget(ThreadedDistributionTarget):
    """A target that does nothing but count."""

    completed = 0

    def __init__(self) -> None:
        super().__init__(poolsize=1)

    def process(self, message: Any) -> None:
        """Do nothing."""

    def on_complete(self, result: Any) -> None:  # noqa: ARG002 - the interface
        """Count a message."""
        self.completed += 1


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
@threaded_argument
@count_option
def timing(*, name: str, count: int) -> None:  # noqa: ARG001 - so far there is one
    """Measure how fast messages pass a distributor.

    A source makes messages, and one thread of a target does nothing with them.
    """
    target = CountingTarget()
    began = time.perf_counter()
    asyncio.run(run_through(target, count))
    elapsed = time.perf_counter() - began
    click.echo(f"Elapsed time: {elapsed:0.6f} s for {count:,} messages, {count / elapsed:,.0f} messages/s")
    if target.completed != count:
        raise click.ClickException(f"{count - target.completed} messages were lost")
