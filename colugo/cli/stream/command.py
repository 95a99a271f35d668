"""The command group `colugo stream`."""

import click

from colugo.cli.stream.forget import forget
from colugo.cli.stream.letters import dead, purge, resurrect
from colugo.cli.stream.ls import ls
from colugo.cli.stream.salvage import salvage
from colugo.cli.stream.show import show


@click.group(
    epilog="""\b
Examples:
  colugo stream ls
  colugo stream show orders
  colugo stream dead orders --group billing
  colugo stream resurrect orders --group billing
  colugo stream ls --store orders.db
"""
)
def stream() -> None:
    """Inspect streams: their messages, dead letters and consumer groups.

    Finds the streams of running nodes on the network. With --store, opens the file of a stream whose node is
    not running.
    """


for command in (ls, show, dead, resurrect, purge, forget, salvage):
    stream.add_command(command)
