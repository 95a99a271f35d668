"""The `colugo` command."""

import io
import logging
import sys

import click

from colugo import __version__
from colugo.cli.demo.command import demo
from colugo.cli.distributor.command import distributor
from colugo.cli.distributor.source_command import source
from colugo.cli.distributor.target_command import target
from colugo.cli.network.findings import doctor, why
from colugo.cli.network.nodes import nodes
from colugo.cli.relay import relay
from colugo.cli.stream.command import stream

_LEVELS = (logging.WARNING, logging.INFO, logging.DEBUG)


@click.group(
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="""\b
Examples:
  colugo demo
  colugo nodes
  colugo doctor
  colugo why lab.temperature
  colugo stream ls
  colugo relay --persist-file relay.db
  colugo distributor start --config alerts.toml
  colugo source webhook 8080 --topic alerts
  colugo target graphite 127.0.0.1:2003 --topic alerts
  colugo -v demo --plain
  colugo demo --help
""",
)
@click.version_option(__version__, prog_name="colugo")
@click.option("-v", "--verbose", count=True, help="Log to standard error; -vv logs details, too.")
def colugo(*, verbose: int) -> None:
    """Messaging between processes that find each other on a network, without a broker."""
    logging.basicConfig(
        level=_LEVELS[min(verbose, len(_LEVELS) - 1)],
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )


for command in (demo, distributor, doctor, nodes, relay, source, stream, target, why):
    colugo.add_command(command)


def main(argv: list[str] | None = None) -> None:
    """Run a command, by default that of `sys.argv[1:]`, and exit with its status."""
    for output in (sys.stdout, sys.stderr):
        if isinstance(output, io.TextIOWrapper):
            output.reconfigure(errors="replace")  # the encoding may lack a character: lose only that one
    colugo.main(args=argv, prog_name="colugo")


if __name__ == "__main__":
    main()
