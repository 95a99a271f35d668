"""The base of sources with a server."""

import asyncio
from abc import abstractmethod
from typing import Any

from tornado.tcpserver import TCPServer

from colugo.distributor.sources.bound_source import BoundSource
from colugo.errors import ClosedError


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
