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
# Ends the server when standard input ends, and with it when the benchmark ends, however that is.
_RUN = '"$0" -c "$1" & read -r _; kill $!; wait'
_END_S = 5


class Broker:
    """Runs until it is closed, on loopback only.

    Args:
        network: whose port it takes.
    """

    def __init__(self, network: Network) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="colugo-bench-")
        settings = Path(self._folder.name) / "nats.conf"
        settings.write_text(_SETTINGS.format(port=network.port), encoding="utf-8")
        self._process = subprocess.Popen(
            ["/bin/sh", "-c", _RUN, Path(sysconfig.get_path("scripts")) / "nats-server", settings],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._folder.cleanup()
