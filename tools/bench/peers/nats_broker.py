"""The nats-server that nats-py's processes meet at."""

import sysconfig
from pathlib import Path

from tools.bench.peers.network import Network
from tools.bench.peers.server import Server
from tools.bench.processes import NoAnswerError

_SETTINGS = """\
host: 127.0.0.1
port: {port}
max_payload: 8MB
# More may wait for a slow subscriber than any round sends, so that it is not cut off.
max_pending: 2GB
write_deadline: "60s"
"""
_START_S = 20.0


class Broker(Server):
    """Runs until it is closed, on loopback only.

    Args:
        network: whose port it takes.
        settings: what its configuration has besides.

    Raises:
        NoAnswerError: if it does not start.
    """

    def __init__(self, network: Network, settings: str = "") -> None:
        program = Path(sysconfig.get_path("scripts")) / "nats-server"
        text = _SETTINGS.replace("{port}", str(network.port)) + settings
        super().__init__([str(program), "-c", "{folder}/nats.conf"], files={"nats.conf": text})
        try:
            self.listening(network.port, _START_S)
        except NoAnswerError:
            self.close()
            raise
