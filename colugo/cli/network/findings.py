"""The commands that print findings: `colugo doctor` and `colugo why`."""

import sys
from collections import Counter
from dataclasses import asdict

import click
from rich.table import Table
from rich.text import Text

from colugo.cli.network.gather import GatherOptions
from colugo.cli.network.options import gather_now, network_options
from colugo.cli.network.output import cell, clean, print_json, screen
from colugo.diagnosis.doctor import examine
from colugo.diagnosis.finding import Finding, Level, worst
from colugo.diagnosis.number_formats import count
from colugo.diagnosis.why import explain
from colugo.errors import TopicError
from colugo.protocol.topics import TopicPattern

_STYLES = {Level.OK: "green", Level.WARNING: "yellow", Level.WRONG: "bold red"}
_WIDEST_CHECK = 24


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
        print_json({"level": level, "findings": [asdict(one) for one in findings]})
    else:
        _print(findings)
        levels = Counter(one.level for one in findings)
        errors = count(levels[Level.WRONG], "error") if levels[Level.WRONG] else "No errors"
        warnings = f", {count(levels[Level.WARNING], 'warning')}" if levels[Level.WARNING] else ""
        click.echo(f"\n{errors}{warnings}.")
    sys.exit(1 if level is Level.WRONG else 0)


@click.command(
    epilog="""\b
Exit status:
  0    all pairs communicate
  1    at least one pair does not, or there is no pair
  2    usage error
  130  interrupted by Ctrl-C

\b
Examples:
  colugo why lab.temperature
  colugo why 'lab.#'
  colugo why lab.temperature --realm test --json
"""
)
@click.argument("topic")
@network_options
def why(*, topic: str, as_json: bool, wait: float, scope: str | None, realm: str | None) -> None:
    """Explain, pair by pair, why the two sides of a topic do not communicate.

    A pair is a publisher and a subscriber, a reply server and a request client, a respondent and a surveyor,
    or a stream and a consumer. TOPIC may be a pattern: * matches one word, # any number of words.
    """
    try:
        TopicPattern(topic)
    except TopicError as error:
        raise click.UsageError(str(error)) from error
    findings = explain(gather_now(GatherOptions(realm, scope, wait, surroundings=True)), topic)
    if as_json:
        print_json([asdict(one) for one in findings])
    else:
        _print(findings)
    sys.exit(0 if findings and worst(findings) is Level.OK else 1)


def _print(findings: list[Finding]) -> None:
    """Print one line per finding; on a terminal, wrap it and put the advice below."""
    out = screen()
    if not out.is_terminal:
        for one in findings:
            advice = f" → {one.advice}" if one.advice else ""
            click.echo(clean(f"{one.level:8} {one.check}: {one.text}{advice}"))
        return
    table = Table.grid(padding=(0, 1))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, max_width=_WIDEST_CHECK, style="bold")
    table.add_column(overflow="fold")
    for one in findings:
        text = cell(one.text)
        if one.advice:
            text.append(f"\n→ {clean(one.advice)}", style="italic")
        table.add_row(Text(one.level, style=_STYLES[one.level]), cell(one.check), text)
    out.print(table)
