"""The source of lines that come over UDP."""

import asyncio
import socket
from contextlib import suppress

from colugo.distributor.sources.bound_socket import bind, check_port
from colugo.distributor.sources.line_splitter import LineSplitter
from colugo.distributor.sources.loop_source import LoopSource

_MOST_BYTES = 65_536


class UdpSource(LoopSource):
    """A UDP socket; each line of a datagram is a message, as text.

    Parts that are not UTF-8 become U+FFFD, and the line is counted in `malformed`. Datagrams that come faster
    than they are taken are dropped by the system, uncounted (RFC 768 promises no delivery).

    Args:
        port: the UDP port; 0 for a free one.
        host: the address to bind, or a name, whose first address is used.

    Raises:
        ConfigurationError: if the port is no port.
    """

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        super().__init__()
        self._port = check_port(port)
        self._host = host
        self._socket: socket.socket | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def label(self) -> str:
        """The name in logs and of the task."""
        return f"{type(self).__name__} {self._host}:{self._port}"

    @property
    def port(self) -> int:
        """The UDP port. If it was given as 0, the one that `open` has chosen."""
        return self._port

    def open(self) -> None:
        """Bind the port and start to listen."""
        if self._socket is None:
            with suppress(OSError):  # listen() tries again, and reports it
                self._bind()
        super().open()

    def close(self, code: int = -1, reason: str = "") -> None:
        """Release the port at once."""
        super().close(code, reason)
        if self._socket is not None:
            if self._loop is not None:
                self._loop.remove_reader(self._socket)
            self._socket.close()
            self._socket = None

    async def listen(self) -> None:
        """Read datagrams until the task is cancelled."""
        if self._socket is None:
            self._bind()
        assert self._socket is not None
        self._loop = asyncio.get_running_loop()
        while True:
            data, _ = await self._loop.sock_recvfrom(self._socket, _MOST_BYTES)
            lines = LineSplitter(_MOST_BYTES)
            for line in (*lines.feed(data), *lines.finish()):
                if line is not None:
                    await self.emit(self.decode(line))

    def _bind(self) -> None:
        self._socket = bind(self._host, self._port, socket.SOCK_DGRAM)
        self._port = self._socket.getsockname()[1]
