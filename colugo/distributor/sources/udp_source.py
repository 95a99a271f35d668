"""The source of lines that come over UDP."""

import asyncio
import socket
from typing import ClassVar

from colugo.distributor.sources.bound_source import BoundSource

_MOST_BYTES = 65_536


class UdpSource(BoundSource):
    """A UDP socket; each line of a datagram is a message, as text.

    Parts that are not UTF-8 become U+FFFD, and the line is counted in `malformed`. Datagrams that come faster
    than they are taken are dropped by the system, uncounted (RFC 768 promises no delivery).

    Args:
        port: the UDP port; 0 for a free one.
        host: the address to bind, or a name, whose first address is used.

    Raises:
        ConfigurationError: if the port is no port.
    """

    _kind: ClassVar = socket.SOCK_DGRAM
    _loop: asyncio.AbstractEventLoop | None = None

    async def listen(self) -> None:
        """Read datagrams until the task is cancelled."""
        bound = self._bind()
        self._loop = asyncio.get_running_loop()
        while True:
            data, _ = await self._loop.sock_recvfrom(bound, _MOST_BYTES)
            for line in data.removesuffix(b"\n").split(b"\n") if data else ():
                await self.emit(self.decode(line.removesuffix(b"\r")))

    def _release(self) -> None:
        if self._socket is not None and self._loop is not None:
            self._loop.remove_reader(self._socket)
        super()._release()
