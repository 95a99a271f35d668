"""What the commands that look at the network have in common."""

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

BY_CTRL_C = 130
_LONGEST_S = 60.0


def network_options(command: F) -> F:
    """Add --realm, --scope, --wait and --json."""
    return discovery_options(json_option(command))


def json_option(command: F) -> F:
    """Add --json."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")(command)


def discovery_options(command: F) -> F:
    """Add --realm, --scope and --wait."""
    for option in (
        click.option(
            "--wait",
            type=click.FloatRange(0.1, _LONGEST_S),
            default=1.0,
            show_default=True,
            metavar="SECONDS",
            help="How long to listen; more on slow or large networks.",
        ),
        click.option("--scope", help="host, lan, or interfaces and addresses; else COLUGO_SCOPE, or lan."),
        click.option("--realm", help="Which realm to speak of; else COLUGO_REALM, or default."),
    ):
        command = option(command)
    return command


def gather_now(wish: GatherOptions) -> Facts:
    """Gather, or leave with the status of wrong usage or of Ctrl-C."""
    if not logging.getLogger().isEnabledFor(logging.INFO):
        # what discovery warns of is among what is gathered
        logging.getLogger("colugo.discovery").setLevel(logging.ERROR)
    try:
        return asyncio.run(gather(wish))
    except ConfigurationError as error:
        raise click.UsageError(str(error)) from error
    except KeyboardInterrupt:
        sys.exit(BY_CTRL_C)
