"""The base of sources that listen at a port."""

import socket
from contextlib import suppress
from typing import ClassVar

from colugo.distributor.sources.loop_source import LoopSource
from colugo.errors import ConfigurationError

_BACKLOG = 128
_HIGHEST_PORT = 65_535


class BoundSource(LoopSource):
    """A source with a socket at a port.

    A port that cannot be bound is tried again with pauses, and the error is logged.
    """

    _kind: ClassVar[socket.SocketKind] = socket.SOCK_STREAM

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        super().__init__()
        if isinstance(port, bool) or not isinstance(port, int) or not 0 <= port <= _HIGHEST_PORT:
            raise ConfigurationError(f"port must be an integer from 0 to {_HIGHEST_PORT}, not {port!r}")
        self._port = port
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
