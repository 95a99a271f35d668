"""`colugo relay`."""

import errno
import logging
import sys

import click

from colugo.errors import BindError, ColugoError, ConfigurationError
from colugo.messenger import Relay, RelayStats
from colugo.patterns.streams.stream import DEFAULT_MAX_MESSAGES

_PORT = click.IntRange(1, 65535)


@click.command(
    epilog="""\b
Exit status:
  0  ended by SIGINT (Ctrl-C) or SIGTERM
  1  a port or the file cannot be had
  2  wrong usage

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
    help="An address or interface, host, or lan; else COLUGO_SCOPE, or lan.",
)
@click.option(
    "--pub-port", type=_PORT, default=7201, show_default=True, help="Where messages are handed out."
)
@click.option("--recv-port", type=_PORT, default=7202, show_default=True, help="Where messages are taken.")
@click.option(
    "--persist-file",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="Keep messages in this file, so that they outlive the relay; else in memory.",
)
@click.option(
    "--max-messages",
    type=click.IntRange(min=1),
    default=DEFAULT_MAX_MESSAGES,
    show_default=True,
    help="How many to keep; beyond that, messengers keep their own.",
)
@click.option("--realm", help="Which realm to serve; else COLUGO_REALM, or default.")
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
    """Keep the messages of programs that end.

    Messengers that see a relay hand it each message that is to be acknowledged (ack=1); it keeps the message
    until somebody has it. Messengers of this realm discover it; others reach it by its address.
    """
    if pub_port == recv_port:
        raise click.UsageError(f"--pub-port and --recv-port must be two ports, not {pub_port} both")
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
        node.add_delayed_callback(1, lambda: _say_ready(node, persist_file))
        node.start()
    except ConfigurationError as error:
        raise click.UsageError(str(error)) from error
    except BindError as error:
        raise click.ClickException(_no_port(error, pub_port, recv_port)) from error
    except ColugoError as error:
        raise click.ClickException(str(error)) from error
    _say_end(node.stats, persist_file)
    sys.exit(0)


def _say_ready(node: Relay, persist_file: str | None) -> None:
    handed_out, taken = node.endpoints
    where = f"in {persist_file}" if persist_file else "in memory"
    click.echo(
        f"relay: ready; takes messages at {', '.join(_tcp(taken))}, hands them out at "
        f"{', '.join(_tcp(handed_out))}, keeps them {where} ({node.stats.stream.messages} now)"
    )


def _no_port(error: BindError, *ports: int) -> str:
    if error.errno != errno.EADDRINUSE:
        return str(error)
    which = " or ".join(map(str, ports))  # what `port=` does is nothing to who has typed a command
    return f"port {which} is in use, perhaps by another relay: choose others with --pub-port and --recv-port"


def _tcp(endpoints: list[str]) -> list[str]:
    return [endpoint for endpoint in endpoints if endpoint.startswith("tcp:")]


def _say_end(stats: RelayStats, persist_file: str | None) -> None:
    left = stats.stream.messages
    dead = f", and {stats.stream.dead} dead letters" if stats.stream.dead else ""
    what = f"{left} message{'' if left == 1 else 's'} that nobody has had{dead}"
    if persist_file:
        end = f"{persist_file} keeps {what}"
    elif left or dead:
        end = f"{what}: lost, for there is no --persist-file"
    else:
        end = "nothing is left"
    click.echo(
        f"relay: ended; {stats.taken} taken, {stats.passed} passed on, {stats.refused} refused, "
        f"{stats.malformed} malformed; {end}"
    )
