"""The command group `colugo distributor`."""

import click

from colugo.cli.distributor.distributor_options import ANY_SPELLING
from colugo.cli.distributor.examples import example, timing
from colugo.cli.distributor.show_types import show
from colugo.cli.distributor.start import start


@click.group(
    context_settings=ANY_SPELLING,
    epilog="""\b
Examples:
  colugo distributor start --ws-url wss://alerts.example/feed --src targets
  colugo distributor start --config alerts.toml
  colugo distributor show targets
  colugo distributor timing --count 100000
""",
)
def distributor() -> None:
    """Hand messages from sources to targets.

    Each target has a queue and threads of its own, so that a slow one holds up no other. Sources and targets
    are built in, come from a directory of plugins, or from installed packages.
    """


for command in (start, show, example, timing):
    distributor.add_command(command)
