"""The base of sources with a server."""

import asyncio
import socket
from abc import abstractmethod
from contextlib import suppress
from typing import Any

from tornado.tcpserver import TCPServer

from colugo.distributor.sources.bound_socket import bind, check_port
from colugo.distributor.sources.loop_source import LoopSource
from colugo.errors import ClosedError


class ServerSource(LoopSource):
    """A source with a Tornado server, which listens on a TCP port.

    A port that cannot be bound is tried again with pauses, and the error is logged.

    Args:
        port: the TCP port; 0 for a free one.
        host: the address to bind, or a name, whose first address is used.

    Raises:
        ConfigurationError: if the port is no port.
    """

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        super().__init__()
        self._port = check_port(port)
        self._host = host
        self._socket: socket.socket | None = None
        self._server: TCPServer | None = None
        self._turn = asyncio.Lock()

    @property
    def label(self) -> str:
        """The name in logs and of the task."""
        return f"{type(self).__name__} {self._host}:{self._port}"

    @property
    def port(self) -> int:
        """The TCP port. If it was given as 0, the one that `open` has chosen."""
        return self._port

    def open(self) -> None:
        """Bind the port and start to listen."""
        if self._socket is None:
            with suppress(OSError):  # listen() tries again, and reports it
                self._bind()
        super().open()

    def close(self, code: int = -1, reason: str = "") -> None:
        """Release the port at once, and close all connections."""
        super().close(code, reason)
        self._release()

    async def listen(self) -> None:
        """Serve until the task is cancelled."""
        if self._socket is None:
            self._bind()
        server = self._server = self.make_server()
        assert self._socket is not None
        server.add_socket(self._socket)
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            if self._server is server:
                self._release()
            await self.close_connections(server)

    async def emit(self, message: Any) -> None:
        """Give a message to the distributor, and wait while it has no room: one client after another.

        Raises:
            ClosedError: if the source is closed meanwhile.
        """
        async with self._turn:  # a full queue takes one message more, not one of each client
            if self.ended:
                raise ClosedError(f"{self.label} is closed")
            await super().emit(message)

    @abstractmethod
    def make_server(self) -> TCPServer:
        """Return the server, which is not listening yet."""

    @abstractmethod
    async def close_connections(self, server: TCPServer) -> None:
        """Close the connections of the server, which listens no more."""

    def _bind(self) -> None:
        self._socket = bind(self._host, self._port, socket.SOCK_STREAM)
        self._port = self._socket.getsockname()[1]

    def _release(self) -> None:
        if self._server is not None:
            self._server.stop()
            self._server = None
        if self._socket is not None:
            self._socket.close()
            self._socket = None
