"""The nats-server that nats-py's processes meet at."""

import subprocess
import sysconfig
import tempfile
from pathlib import Path
from typing import Self

from tools.bench.peers.network import Network

_SETTINGS = """\
host: 127.0.0.1
port: {port}
max_payload: 8MB
# More may wait for a slow subscriber than any round sends, so that it is not cut off.
max_pending: 2GB
write_deadline: "60s"
"""


class Broker:
    """Runs until it is closed, on loopback only; clients retry until it listens.

    Args:
        network: whose port it takes.
    """

    def __init__(self, network: Network) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="colugo-bench-")
        settings = Path(self._folder.name) / "nats.conf"
        settings.write_text(_SETTINGS.format(port=network.port), encoding="utf-8")
        self._process = subprocess.Popen(
            [Path(sysconfig.get_path("scripts")) / "nats-server", "-c", settings],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._folder.cleanup()
