"""The RabbitMQ that aio-pika's processes meet at: a private one, apart from any that the system runs."""

import shutil
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from tools.bench.peers.network import Network, free_port
from tools.bench.peers.server import Server

# Debian's; the one in its PATH changes to a user of its own, and runs it for that user.
_DEBIAN = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
_SETTINGS = """\
listeners.tcp.default = 127.0.0.1:{port}
log.console.level = warning
"""
_START_S = 60.0
_END_S = 20.0


def program() -> Path | None:
    """The script that starts it; None if it is not installed."""
    found = _DEBIAN if _DEBIAN.exists() else shutil.which("rabbitmq-server")
    return Path(found) if found else None


def version() -> str | None:
    """Read the server's version from its folder's name (`rabbitmq_server-3.10.8`); None if not installed."""
    found = program()
    return found.resolve().parents[1].name.rpartition("-")[2] if found else None


class Broker:
    """Runs until it is closed, on loopback only, with all its files in its folder.

    The nodes of Erlang find each other by a daemon, epmd, which would outlive them: it has one of its own.

    Args:
        network: whose port it takes.

    Raises:
        NoAnswerError: if it does not start.
    """

    def __init__(self, network: Network) -> None:
        found = program()
        assert found is not None, "rabbitmq-server is not installed"
        names, distribution = free_port(), free_port()
        loopback = {"ERL_EPMD_ADDRESS": "127.0.0.1", "ERL_EPMD_PORT": str(names)}
        with ExitStack() as stack:
            daemon = stack.enter_context(Server(["epmd"], environment=loopback))
            daemon.listening(names, _START_S)
            self.server = stack.enter_context(
                Server(
                    [str(found)],
                    files={"rabbitmq.conf": _SETTINGS.replace("{port}", str(network.port))},
                    environment=loopback | _environment(distribution),
                    end_s=_END_S,
                )
            )
            self.server.listening(network.port, _START_S)
            self._running = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._running.close()


def _environment(distribution: int) -> dict[str, str]:
    return {
        # There it looks for its cookie.
        "HOME": "{folder}",
        "RABBITMQ_NODENAME": "bench@localhost",
        "RABBITMQ_DIST_PORT": str(distribution),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        "RABBITMQ_CONF_ENV_FILE": "/dev/null",
        "RABBITMQ_CONFIG_FILE": "{folder}/rabbitmq.conf",
        "RABBITMQ_ADVANCED_CONFIG_FILE": "{folder}/advanced.config",
        "RABBITMQ_ENABLED_PLUGINS_FILE": "{folder}/plugins",
        "RABBITMQ_MNESIA_BASE": "{folder}/mnesia",
        "RABBITMQ_LOG_BASE": "{folder}/log",
    }
