"""The group `colugo stream`."""

import click

from colugo.cli.stream.dead import dead
from colugo.cli.stream.forget import forget
from colugo.cli.stream.ls import ls
from colugo.cli.stream.reviving import purge, resurrect
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
    """Look at streams: what they keep, dead letters, groups.

    Streams of running nodes are found on the network; with --store, the store of one that is not running is
    read from its file.
    """


for command in (ls, show, dead, resurrect, purge, forget, salvage):
    stream.add_command(command)
