"""The one place where ZeroMQ sockets are made, so that limits and security apply to every one."""

import errno

import zmq

from colugo.errors import BindError
from colugo.net.transport.host import raise_open_files_limit
from colugo.net.transport.port_choice import check_port
from colugo.protocol.advertisement import endpoint

DEFAULT_MAX_MESSAGE_BYTES = 64 * 1024 * 1024
LINGER_MS = 500
"""How long messages that are sent already may still leave after a stop."""
RECONNECT_MS = 20
RECONNECT_MAX_MS = 500
CONNECT_TIMEOUT_MS = 1000
_FRAME_ROOM = 64 * 1024
_CONTROL_BYTES = 4096
_BIND_TRIES = 20
_GONE = (errno.EADDRNOTAVAIL, errno.ENODEV)
_LIVENESS = {
    zmq.TCP_KEEPALIVE: 1,
    zmq.TCP_KEEPALIVE_IDLE: 1,
    zmq.TCP_KEEPALIVE_INTVL: 1,
    zmq.TCP_KEEPALIVE_CNT: 3,
    zmq.TCP_MAXRT: 3400,
}
"""A peer that has silently gone is noticed after 4 to 5 s. No ZMTP heartbeats: they can abort the process.

With more than 3 s, three probes have to be lost. What is not acknowledged is sent again for so long, from its
first repetition on; and a publisher's beacon may leave a second after the cut.
"""


class Sockets:
    """A node's ZeroMQ context and the maker of its sockets.

    Args:
        max_message_bytes: larger messages are refused by ZeroMQ before it allocates for them
            (`ZMQ_MAXMSGSIZE`).
    """

    def __init__(self, max_message_bytes: int) -> None:
        self.max_message_bytes = max_message_bytes
        self._context = zmq.Context()
        self._context.set(zmq.MAX_SOCKETS, min(raise_open_files_limit(), self._context.get(zmq.SOCKET_LIMIT)))

    def xpub(self, hwm: int, stall_ms: int | None = None) -> zmq.Socket[bytes]:
        """A publisher's socket.

        Args:
            hwm: ZeroMQ messages that may wait for one reader; 0 if the publisher sees to that.
            stall_ms: how long a reader that has silently gone may hold up the others.
        """
        socket = self._make(zmq.XPUB, limit=_CONTROL_BYTES)
        socket.set(zmq.SNDHWM, hwm)
        if stall_ms is not None:
            socket.set(zmq.TCP_MAXRT, stall_ms)
        return socket

    def xsub(self) -> zmq.Socket[bytes]:
        """A subscriber's socket: it has nothing to flush."""
        socket = self._make_connecting(zmq.XSUB)
        socket.set(zmq.LINGER, 0)
        return socket

    def router(self) -> zmq.Socket[bytes]:
        """A reply server's socket; a reply to who has gone is an error (`ZMQ_ROUTER_MANDATORY`)."""
        socket = self._make(zmq.ROUTER)
        socket.set(zmq.ROUTER_MANDATORY, 1)
        return socket

    def dealer(self) -> zmq.Socket[bytes]:
        """A request client's socket to one server."""
        return self._make_connecting(zmq.DEALER)

    def monitor(self, socket: zmq.Socket[bytes], events: int) -> zmq.Socket[bytes]:
        """The socket on which the events of another one arrive."""
        monitor = socket.get_monitor_socket(events)
        monitor.set(zmq.LINGER, 0)
        return monitor

    def _make(self, kind: int, *, limit: int | None = None) -> zmq.Socket[bytes]:
        socket: zmq.Socket[bytes] = self._context.socket(kind)
        socket.set(zmq.LINGER, LINGER_MS)
        for option, value in _LIVENESS.items():
            socket.set(option, value)
        socket.set(zmq.MAXMSGSIZE, self.max_message_bytes + _FRAME_ROOM if limit is None else limit)
        return socket

    def _make_connecting(self, kind: int) -> zmq.Socket[bytes]:
        socket = self._make(kind)
        socket.set(zmq.RECONNECT_IVL, RECONNECT_MS)
        socket.set(zmq.RECONNECT_IVL_MAX, RECONNECT_MAX_MS)
        socket.set(zmq.CONNECT_TIMEOUT, CONNECT_TIMEOUT_MS)
        return socket

    def close(self) -> None:
        """End the context: returns when what was sent has left, within the linger of its sockets."""
        self._context.destroy(linger=0)  # sockets that were closed keep their own linger


def connect(socket: zmq.Socket[bytes], where: str) -> None:
    """Connect a socket to an endpoint, besides those that it is connected to."""
    # with IPv6 on, ZeroMQ names endpoints of IPv4 in IPv6's form in its events, after a reconnection
    socket.set(zmq.IPV6, int("[" in where))
    socket.connect(where)


def bind(socket: zmq.Socket[bytes], addresses: tuple[str, ...], port: int | None) -> tuple[int, list[str]]:
    """Bind a socket to one port of each address.

    Args:
        socket: the socket.
        addresses: IP addresses of this host. One that has gone meanwhile is left out, if there are others.
        port: the port, or None for one that is free on all of them.

    Returns:
        The port, and the addresses that it is bound on.

    Raises:
        BindError: if that is not possible, with address, port and reason.
    """
    if port is not None:
        check_port(port)
    for _ in range(_BIND_TRIES):
        chosen = port or 0
        bound: list[str] = []
        for address in addresses:
            try:
                chosen = _bind_one(socket, address, chosen)
                bound.append(address)
            except zmq.ZMQError as error:
                if error.errno in _GONE and (bound or address != addresses[-1]):
                    continue
                for one in bound:
                    unbind(socket, one, chosen)
                if port is None and bound and error.errno == errno.EADDRINUSE:
                    break  # free on the first address, taken on another
                raise _bind_error(error, address, port) from error
        else:
            return chosen, bound
    raise BindError(errno.EADDRINUSE, f"no port is free on all of {', '.join(addresses)}")


def bind_also(socket: zmq.Socket[bytes], address: str, port: int) -> None:
    """Bind a socket to its port on one more address.

    Raises:
        BindError: if that is not possible.
    """
    try:
        _bind_one(socket, address, port)
    except zmq.ZMQError as error:
        raise _bind_error(error, address, port) from error


def unbind(socket: zmq.Socket[bytes], address: str, port: int) -> None:
    """Take no more connections on an address; those that are there stay."""
    socket.unbind(endpoint(address, port))


def _bind_one(socket: zmq.Socket[bytes], address: str, port: int) -> int:
    where = endpoint(address, port)
    is_v6 = ":" in address
    socket.set(zmq.IPV6, int(is_v6))  # else ZeroMQ would use IPv6's form of IPv4 addresses in what it tells
    try:
        socket.bind(where if port else where[: where.rindex(":")] + ":*")
    finally:
        socket.set(zmq.IPV6, 0)
    return port or int(socket.getsockopt_string(zmq.LAST_ENDPOINT).rsplit(":", 1)[1])


def _bind_error(error: zmq.ZMQError, address: str, port: int | None) -> BindError:
    number = error.errno or 0
    hints = {
        errno.EADDRINUSE: "another socket has that port: choose another, or leave port= out for a free one",
        errno.EADDRNOTAVAIL: "this host has no such address",
        errno.ENODEV: "this host has no such address",
        errno.EACCES: "ports below 1024 need root",
    }
    hint = hints.get(number, str(error))
    return BindError(number, f"cannot bind {address} port {port or '(any)'}: {hint}")
