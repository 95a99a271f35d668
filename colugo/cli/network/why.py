"""The command `colugo why`."""

import sys

import click

from colugo.cli.network.gather import GatherOptions
from colugo.cli.network.options import gather_now, network_options
from colugo.cli.network.output import as_data, console, print_findings, print_json
from colugo.diagnosis.finding import Level, worst
from colugo.diagnosis.why import explain
from colugo.errors import TopicError
from colugo.protocol.topics import TopicPattern


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
        print_json([as_data(one) for one in findings])
    else:
        print_findings(findings, console())
    sys.exit(0 if findings and worst(findings) is Level.OK else 1)
