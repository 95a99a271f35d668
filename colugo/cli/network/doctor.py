"""The command `colugo doctor`."""

import sys

import click

from colugo.cli.network.gather import GatherOptions
from colugo.cli.network.options import gather_now, network_options
from colugo.cli.network.output import as_data, console, print_findings, print_json, print_result
from colugo.diagnosis.doctor import examine
from colugo.diagnosis.finding import Level, worst


@click.command(
    epilog="""\b
Exit status:
  0    no errors; there may be warnings
  1    at least one error
  2    usage error
  130  interrupted by Ctrl-C

\b
Examples:
  colugo doctor
  colugo doctor 192.0.2.7 robot.local
  colugo doctor --scope eth0 --wait 3
  colugo doctor --json | jq '.findings[] | select(.level != "ok")'
"""
)
@click.argument("hosts", nargs=-1, metavar="[HOST]...")
@network_options
def doctor(
    *, hosts: tuple[str, ...], as_json: bool, wait: float, scope: str | None, realm: str | None
) -> None:
    """Check the network and all nodes on it, with advice on each problem.

    Tests multicast on each interface in scope, collects the mDNS records of all realms, connects to every
    advertised address and asks every node to describe itself. Each HOST is a machine you expect to find: it
    is also queried directly, without multicast.
    """
    findings = examine(gather_now(GatherOptions(realm, scope, wait, surroundings=True, hosts=hosts)))
    level = worst(findings)
    if as_json:
        print_json({"level": str(level), "findings": [as_data(one) for one in findings]})
    else:
        print_findings(findings, console())
        print_result(findings)
    sys.exit(1 if level is Level.WRONG else 0)
