"""The network of one library's peers: separate from all others, and on loopback only."""

import json
import socket
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, Self

Transport = Literal["tcp", "ipc"]
Hub = Literal["publisher", "subscriber"]


@dataclass(frozen=True, slots=True)
class Network:
    """The shared parameters of one library's processes.

    Attributes:
        port: a unique number on this machine, and a port that was free over TCP and UDP.
        transport: the transport, for libraries with a choice.
        hub: the side with a single process; it listens, if a library needs a known address.
    """

    port: int
    transport: Transport = "tcp"
    hub: Hub = "publisher"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse the text that `str` makes, from a command line."""
        return cls(**json.loads(text))

    def __str__(self) -> str:
        return json.dumps(asdict(self))

    @property
    def socket_path(self) -> Path:
        """The path of a Unix domain socket."""
        return Path(tempfile.gettempdir()) / f"colugo-bench-{self.port}"

    @property
    def endpoint(self) -> str:
        """The hub's address as a ZeroMQ endpoint."""
        return f"ipc://{self.socket_path}" if self.transport == "ipc" else f"tcp://127.0.0.1:{self.port}"


def free_port() -> int:
    """Find a port that is free over TCP and UDP."""
    while True:
        with (
            socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        ):
            tcp.bind(("127.0.0.1", 0))
            port = int(tcp.getsockname()[1])
            try:
                udp.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
