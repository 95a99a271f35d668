"""Options and steps that the commands which inspect the network share."""

import asyncio
import logging
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

from colugo.cli.network.gather import GatherOptions, gather
from colugo.diagnosis.facts import Facts
from colugo.errors import ConfigurationError

F = TypeVar("F", bound=Callable[..., Any])

INTERRUPTED = 130
_LONGEST_S = 60.0


def network_options(command: F) -> F:
    """Add --realm, --scope, --wait and --json."""
    return discovery_options(json_option(command))


def json_option(command: F) -> F:
    """Add --json."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


def discovery_options(command: F) -> F:
    """Add --realm, --scope and --wait."""
    for option in (
        click.option(
            "--wait",
            type=click.FloatRange(0.1, _LONGEST_S),
            default=1.0,
            show_default=True,
            metavar="SECONDS",
            help="How long to listen for nodes; raise it on slow or large networks.",
        ),
        click.option(
            "--scope",
            help="host, lan, or a list of interfaces and addresses.  [default: COLUGO_SCOPE, or lan]",
        ),
        click.option("--realm", help="The realm to inspect.  [default: COLUGO_REALM, or default]"),
    ):
        command = option(command)
    return command


def gather_now(options: GatherOptions) -> Facts:
    """Gather facts; exit with a usage error if an option is invalid, and with 130 on Ctrl-C."""
    if not logging.getLogger().isEnabledFor(logging.INFO):
        # the findings include what discovery warns about
        logging.getLogger("colugo.discovery").setLevel(logging.ERROR)
    try:
        return asyncio.run(gather(options))
    except ConfigurationError as error:
        raise click.UsageError(str(error)) from error
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
