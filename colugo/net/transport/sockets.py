"""The creation of all ZeroMQ sockets, so that limits and security settings apply to each."""

import errno

import zmq

from colugo.errors import BindError
from colugo.net.transport.host import raise_open_files_limit
from colugo.net.transport.port_choice import check_port
from colugo.protocol.advertisement import endpoint

DEFAULT_MAX_MESSAGE_BYTES = 64 * 1024 * 1024
LINGER_MS = 500
"""How long a closed socket keeps transmitting sent messages."""
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
"""TCP detects a peer that vanishes silently after 4 to 5 s. ZMTP heartbeats can abort the process.

With more than 3 s, the limit allows for three lost probes. `TCP_MAXRT` counts from the first retransmission,
and a publisher may send its next beacon up to a second after the loss.
"""


class Sockets:
    """A node's ZeroMQ context, and the maker of its sockets.

    Args:
        max_message_bytes: ZeroMQ refuses larger messages before it allocates memory for them
            (`ZMQ_MAXMSGSIZE`).
    """

    def __init__(self, max_message_bytes: int) -> None:
        self.max_message_bytes = max_message_bytes
        self._context = zmq.Context()
        self._context.set(zmq.MAX_SOCKETS, min(raise_open_files_limit(), self._context.get(zmq.SOCKET_LIMIT)))

    def xpub(self, hwm: int, stall_ms: int | None = None) -> zmq.Socket[bytes]:
        """Make a publisher's socket.

        Args:
            hwm: the high-water mark for each subscriber, in ZeroMQ messages; 0 if the publisher limits it.
            stall_ms: how long a subscriber that vanishes silently may block the others, in ms.
        """
        socket = self._make(zmq.XPUB, limit=_CONTROL_BYTES)
        socket.set(zmq.SNDHWM, hwm)
        if stall_ms is not None:
            socket.set(zmq.TCP_MAXRT, stall_ms)
        return socket

    def xsub(self) -> zmq.Socket[bytes]:
        """Make a subscriber's socket, which has nothing to flush when it closes."""
        socket = self._make_connecting(zmq.XSUB)
        socket.set(zmq.LINGER, 0)
        return socket

    def router(self) -> zmq.Socket[bytes]:
        """Make a reply server's socket; sending to a disconnected peer fails (`ZMQ_ROUTER_MANDATORY`)."""
        socket = self._make(zmq.ROUTER)
        socket.set(zmq.ROUTER_MANDATORY, 1)
        return socket

    def dealer(self) -> zmq.Socket[bytes]:
        """Make a request client's socket for one server."""
        return self._make_connecting(zmq.DEALER)

    def monitor(self, socket: zmq.Socket[bytes], events: int) -> zmq.Socket[bytes]:
        """Make a socket that receives the events of another one."""
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
        """Terminate the context; blocks until sent messages are transmitted, or the sockets' linger ends."""
        self._context.destroy(linger=0)  # closed sockets keep their own linger


def connect(socket: zmq.Socket[bytes], target: str) -> None:
    """Connect a socket to one more endpoint."""
    # with IPv6 on, ZeroMQ's events name IPv4 endpoints in IPv6 form after a reconnection
    socket.set(zmq.IPV6, int("[" in target))
    socket.connect(target)


def bind(socket: zmq.Socket[bytes], addresses: tuple[str, ...], port: int | None) -> tuple[int, list[str]]:
    """Bind a socket to the same port of each address; None means a port that is free on all.

    Addresses that no longer exist are skipped, if others remain.

    Returns:
        The port, and the addresses that the socket is bound to.

    Raises:
        BindError: if that is not possible; the text names address, port and reason.
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
    """Bind a socket to its port on one more address, or raise `BindError`."""
    try:
        _bind_one(socket, address, port)
    except zmq.ZMQError as error:
        raise _bind_error(error, address, port) from error


def unbind(socket: zmq.Socket[bytes], address: str, port: int) -> None:
    """Accept no more connections on an address; existing ones stay."""
    socket.unbind(endpoint(address, port))


def _bind_one(socket: zmq.Socket[bytes], address: str, port: int) -> int:
    target = endpoint(address, port)
    is_v6 = ":" in address
    socket.set(zmq.IPV6, int(is_v6))  # with IPv6 on, ZeroMQ would report IPv4 addresses in IPv6 form
    try:
        socket.bind(target if port else target[: target.rindex(":")] + ":*")
    finally:
        socket.set(zmq.IPV6, 0)
    return port or int(socket.getsockopt_string(zmq.LAST_ENDPOINT).rsplit(":", 1)[1])


def _bind_error(error: zmq.ZMQError, address: str, port: int | None) -> BindError:
    number = error.errno or 0
    hints = {
        errno.EADDRINUSE: "another socket has that port: choose another one, or omit port= for a free one",
        errno.EADDRNOTAVAIL: "this host has no such address",
        errno.ENODEV: "this host has no such address",
        errno.EACCES: "ports below 1024 need root",
    }
    hint = hints.get(number, str(error))
    return BindError(number, f"cannot bind {address} port {port or '(any)'}: {hint}")
