"""The base of targets that send on a socket."""

import logging
import socket
import threading
from typing import Any, ClassVar

from colugo.distributor.per_instance import PerInstance
from colugo.distributor.port import HIGHEST_PORT, check_port
from colugo.distributor.target_options import UNLIMITED, TargetOptions
from colugo.distributor.targets.payload import as_bytes
from colugo.distributor.threaded_target import ThreadedDistributionTarget, pool_of
from colugo.errors import ConnectionNotDefined

_LOGGER = logging.getLogger(__name__)
_CONNECT_S = 5.0


class SocketTarget(ThreadedDistributionTarget):
    """Sends each message on a TCP connection, which is made anew when it is lost.

    Derive from `TcpTarget` instead to send again what a lost connection took with it.

    While the peer cannot be reached, messages wait, and each is tried without limit. With one thread, the
    default, they leave in order.

    Args:
        host: a name or an address, IPv4 or IPv6.
        port: the peer's port.
        poolsize: threads that send. With more than one, messages may leave in another order.
        terminator: what follows each message, by default nothing; a target of a configuration file or of the
            command line has a line break.
    """

    default_options: ClassVar = TargetOptions(workers=1, retries=UNLIMITED)
    retry_on: ClassVar = (OSError,)
    configured_defaults: ClassVar[dict[str, object]] = {"terminator": "\n"}
    """Arguments of a target that is made by a configuration file or the command line."""

    # Class attributes, so that nothing depends on __init__ but what the subclass can set itself.
    host: str = ""
    port: int = 0
    terminator: str = ""
    _socket: socket.socket | None = None
    _ended: bool = False
    _socket_lock = PerInstance(threading.RLock)

    def __init__(self, host: str, port: int, *, poolsize: int = 1, terminator: str | None = None) -> None:
        super().__init__(poolsize)
        self._pool_size = poolsize
        self.host = host
        self.port = check_port(port, 1)
        if terminator is not None:
            self.terminator = terminator

    @property
    def peer(self) -> str:
        """The peer's name and port, for logs.

        Raises:
            ConnectionNotDefined: if the host or the port is missing or impossible.
        """
        if not self.host or not 0 < self.port <= HIGHEST_PORT:
            raise ConnectionNotDefined(
                f"{type(self).__name__} needs a host and a port, not {self.host!r} and {self.port!r}"
            )
        return f"{self.host}:{self.port}"

    def open(self) -> None:
        """Connect. If the peer cannot be reached, log it: the next message tries again."""
        self._ended = False
        try:
            self.connect()
        except OSError as error:
            _LOGGER.warning("target %s: cannot connect to %s: %s", pool_of(self).name, self.peer, error)

    def connect(self) -> None:
        """Connect to the peer.

        Raises:
            OSError: if the peer cannot be reached.
            ConnectionNotDefined: if the host or the port is missing.
        """
        with self._socket_lock:
            self.disconnect()
            self._keep(self._connected())

    def disconnect(self) -> None:
        """Close the connection, if there is one. A thread that is sending gets an OSError."""
        connection, self._socket = self._socket, None
        if connection is not None:
            shut(connection)

    def send(self, data: str | bytes) -> None:
        """Send data, after connecting if need be.

        Args:
            data: text, sent in UTF-8, or bytes.

        Raises:
            OSError: if it could not be sent. Some of it may have been; the connection is closed.
        """
        with self._socket_lock:
            if self._socket is None:
                self.connect()
            connection = self._socket
            if connection is None:
                raise ConnectionAbortedError(f"the connection to {self.peer} has been closed")
            try:
                self._transmit(connection, as_bytes(data))
            except OSError:
                self.disconnect()
                raise

    def process(self, message: Any) -> None:
        """Send a message and the terminator.

        Args:
            message: the message.
        """
        if isinstance(message, bytes):
            self.send(message + self.terminator.encode())
        else:
            self.send(f"{message}{self.terminator}")

    def _transmit(self, connection: socket.socket, data: bytes) -> None:
        connection.sendall(data)

    def _release(self) -> None:
        self._ended = True
        self.disconnect()

    def _connected(self) -> socket.socket:
        """Return a new socket that is connected to the peer, and has no timeout."""
        _ = self.peer
        made = socket.create_connection((self.host, self.port), _CONNECT_S)
        made.settimeout(None)
        return made

    def _keep(self, made: socket.socket) -> None:
        """Use a new connection, unless `close` was called meanwhile."""
        self._socket = made
        if self._ended:
            self.disconnect()
            raise ConnectionAbortedError(f"the target closed while it connected to {self.peer}")


def shut(connection: socket.socket) -> None:
    """Close a socket, also while another thread waits in one of its methods."""
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:  # never connected, or no longer
        pass
    finally:
        connection.close()
