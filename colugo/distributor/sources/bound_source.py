"""The bases of sources that listen at a port."""

import asyncio
import socket
from abc import abstractmethod
from contextlib import suppress
from typing import Any, ClassVar

from tornado.tcpserver import TCPServer

from colugo.distributor.port import check_port
from colugo.distributor.sources.loop_source import LoopSource
from colugo.errors import ClosedError

_BACKLOG = 128


class BoundSource(LoopSource):
    """A source with a socket at a port.

    A port that cannot be bound is tried again with pauses, and the error is logged.
    """

    _kind: ClassVar[socket.SocketKind] = socket.SOCK_STREAM

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        super().__init__()
        self._port = check_port(port)
        self._host = host
        self._socket: socket.socket | None = None

    @property
    def label(self) -> str:
        """The name in logs and of the task."""
        return f"{type(self).__name__} {self._host}:{self._port}"

    @property
    def port(self) -> int:
        """The port. If it was given as 0, the one that `open` has chosen."""
        return self._port

    def _acquire(self) -> None:
        with suppress(OSError):  # listen() tries again, and reports it
            self._bind()

    def _release(self) -> None:
        """Release the port at once."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _bind(self) -> socket.socket:
        """Return the bound socket, which does not block; one of TCP listens."""
        if self._socket is not None:
            return self._socket
        family, _, protocol, _, address = socket.getaddrinfo(
            self._host, self._port, type=self._kind, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, self._kind, protocol)
        try:
            bound.setblocking(False)
            if self._kind is socket.SOCK_STREAM:
                bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(address)
            if self._kind is socket.SOCK_STREAM:
                bound.listen(_BACKLOG)
        except OSError:
            bound.close()
            raise
        self._socket, self._port = bound, bound.getsockname()[1]
        return bound


class ServerSource(BoundSource):
    """A source with a Tornado server, which listens on a TCP port."""

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        super().__init__(port, host)
        self._server: TCPServer | None = None
        self._turn = asyncio.Lock()

    async def listen(self) -> None:
        """Serve until the task is cancelled."""
        bound = self._bind()
        server = self._server = self._make_server()
        server.add_socket(bound)
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            if self._server is server:
                self._release()
            await self._close_connections(server)

    async def emit(self, message: Any) -> None:
        """Give a message to the distributor, and wait while it has no room: one client after another.

        Args:
            message: the message.

        Raises:
            ClosedError: if the source is closed meanwhile.
        """
        async with self._turn:  # a full queue takes one message more, not one of each client
            if self.ended:
                raise ClosedError(f"{self.label} is closed")
            await super().emit(message)

    def _release(self) -> None:
        if self._server is not None:
            self._server.stop()
            self._server = None
        super()._release()

    @abstractmethod
    def _make_server(self) -> TCPServer:
        """Return the server, which is not listening yet."""

    @abstractmethod
    async def _close_connections(self, server: TCPServer) -> None:
        """Close the connections of the server, which listens no more."""
