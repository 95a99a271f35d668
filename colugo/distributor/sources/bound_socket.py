"""Sockets of sources that listen at a port."""

import socket

from colugo.errors import ConfigurationError

_BACKLOG = 128


def check_port(port: int) -> int:
    """Return a port to listen on.

    Raises:
        ConfigurationError: if it is no integer from 0 to 65535.
    """
    if isinstance(port, bool) or not isinstance(port, int) or not 0 <= port <= 65535:  # noqa: PLR2004
        raise ConfigurationError(f"port must be an integer from 0 to 65535, not {port!r}")
    return port


def bind(host: str, port: int, kind: socket.SocketKind) -> socket.socket:
    """Return a bound socket, which does not block; one of TCP listens.

    Args:
        host: the address, or a name whose first address is used.
        port: the port; 0 for a free one.
        kind: `socket.SOCK_STREAM` or `socket.SOCK_DGRAM`.

    Raises:
        OSError: if the port cannot be had.
    """
    family, _, protocol, _, address = socket.getaddrinfo(host, port, type=kind, flags=socket.AI_PASSIVE)[0]
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setblocking(False)
        if kind is socket.SOCK_STREAM:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        if kind is socket.SOCK_STREAM:
            bound.listen(_BACKLOG)
    except OSError:
        bound.close()
        raise
    return bound
