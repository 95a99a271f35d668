"""Where the peers of one library meet: apart from all others on this machine, and on loopback only."""

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
    """What the processes of one library have to know of one another.

    Attributes:
        port: a number that no other network of this machine has, and a port that was free over TCP and UDP.
        transport: what messages travel over, for libraries that let one choose.
        hub: the side of which there is one only; where a library needs one side that listens at a known
            address, it is this one.
    """

    port: int
    transport: Transport = "tcp"
    hub: Hub = "publisher"

    @classmethod
    def parse(cls, text: str) -> Self:
        """What `str` made, as it comes on a command line."""
        return cls(**json.loads(text))

    def __str__(self) -> str:
        return json.dumps(asdict(self))

    @property
    def socket_path(self) -> Path:
        """A path for a socket of the file system."""
        return Path(tempfile.gettempdir()) / f"colugo-bench-{self.port}"

    @property
    def endpoint(self) -> str:
        """The hub's address, as ZeroMQ writes it."""
        return f"ipc://{self.socket_path}" if self.transport == "ipc" else f"tcp://127.0.0.1:{self.port}"


def free_port() -> int:
    """A port that nobody uses, neither over TCP nor over UDP."""
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
