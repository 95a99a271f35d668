"""The command `colugo relay`."""

import errno
import logging
import sys

import click

from colugo.diagnosis.number_formats import count
from colugo.errors import BindError, ColugoError, ConfigurationError
from colugo.messenger import Relay, RelayStats
from colugo.patterns.streams.stream import DEFAULT_MAX_MESSAGES

_PORT = click.IntRange(1, 65535)


@click.command(
    epilog="""\b
Exit status:
  0  stopped by SIGINT (Ctrl-C) or SIGTERM
  1  a port or the file cannot be opened
  2  usage error

\b
Examples:
  colugo relay
  colugo relay --persist-file /var/lib/colugo/relay.db
  colugo relay --bind 192.0.2.7 --pub-port 7201 --recv-port 7202
  colugo stream ls --store /var/lib/colugo/relay.db
"""
)
@click.option(
    "--bind",
    metavar="ADDRESS",
    help="An address or interface, host or lan.  [default: COLUGO_SCOPE, or lan]",
)
@click.option(
    "--pub-port", type=_PORT, default=7201, show_default=True, help="The port that delivers messages."
)
@click.option(
    "--recv-port", type=_PORT, default=7202, show_default=True, help="The port that accepts messages."
)
@click.option(
    "--persist-file",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="Store messages in this file, so that they survive a restart.  [default: in memory]",
)
@click.option(
    "--max-messages",
    type=click.IntRange(min=1),
    default=DEFAULT_MAX_MESSAGES,
    show_default=True,
    help="How many messages to store; when full, messengers keep theirs.",
)
@click.option("--realm", help="The realm to serve.  [default: COLUGO_REALM, or default]")
@click.option("-v", "--verbose", is_flag=True, help="Log each message to standard error.")
def relay(
    *,
    bind: str | None,
    pub_port: int,
    recv_port: int,
    persist_file: str | None,
    max_messages: int,
    realm: str | None,
    verbose: bool,
) -> None:
    """Store messages for programs that exit before delivery.

    A messenger that is connected to a relay passes it every message that needs an acknowledgement (ack=1).
    The relay stores the message until a receiver acknowledges it. Messengers in the same realm discover the
    relay; others connect to its address.
    """
    if pub_port == recv_port:
        raise click.UsageError(f"--pub-port and --recv-port must differ, but both are {pub_port}")
    if verbose:
        logging.getLogger("relay").setLevel(logging.DEBUG)
    try:
        node = Relay(
            pub_port=pub_port,
            recv_port=recv_port,
            persist_file=persist_file,
            max_messages=max_messages,
            realm=realm,
            scope=bind,
        )
        node.add_delayed_callback(1, lambda: _print_ready(node, persist_file))
        node.start()
    except ConfigurationError as error:
        raise click.UsageError(str(error)) from error
    except BindError as error:
        raise click.ClickException(_bind_failure(error, pub_port, recv_port)) from error
    except ColugoError as error:
        raise click.ClickException(str(error)) from error
    _print_end(node.stats, persist_file)
    sys.exit(0)


def _print_ready(node: Relay, persist_file: str | None) -> None:
    delivering, accepting = node.endpoints
    where = f"in {persist_file}" if persist_file else "in memory"
    click.echo(
        f"relay: ready; accepts messages at {', '.join(_tcp(accepting))}, delivers them at "
        f"{', '.join(_tcp(delivering))}, stores them {where} ({node.stats.stream.messages} now)"
    )


def _bind_failure(error: BindError, *ports: int) -> str:
    if error.errno != errno.EADDRINUSE:
        return str(error)
    which = " or ".join(map(str, ports))  # the error itself advises `port=`, which no command has
    return f"port {which} is in use, perhaps by another relay: choose others with --pub-port and --recv-port"


def _tcp(endpoints: list[str]) -> list[str]:
    return [endpoint for endpoint in endpoints if endpoint.startswith("tcp:")]


def _print_end(stats: RelayStats, persist_file: str | None) -> None:
    left = stats.stream.messages
    dead = f" and {count(stats.stream.dead, 'dead letter')}" if stats.stream.dead else ""
    what = f"{count(left, 'undelivered message')}{dead}"
    if persist_file:
        end = f"{what} stored in {persist_file}"
    elif left or dead:
        end = f"{what} lost, because no --persist-file was given"
    else:
        end = "no undelivered messages"
    click.echo(
        f"relay: stopped; {stats.taken} accepted, {stats.passed} delivered, {stats.refused} refused, "
        f"{stats.malformed} malformed; {end}"
    )
