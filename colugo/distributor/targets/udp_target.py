"""The target of UDP servers."""

import errno
import socket

from colugo.distributor.targets.socket_target import SocketTarget
from colugo.distributor.threaded_target import pool_of


class UdpTarget(SocketTarget):
    """Sends each message as one UDP datagram.

    UDP does not tell if a datagram arrives. If nobody listens, the peer's host may say so when the next one
    is sent; that is logged and counted in `refused`. A message that is too long for a datagram (65,507 bytes
    over IPv4) is a ValueError.

    Args:
        host: a name or an address, IPv4 or IPv6; of a name that has both, IPv4 is used.
        port: the peer's port.
        poolsize: threads that send.
        terminator: what follows each message, by default nothing; a target of a configuration file or of the
            command line has a line break.
    """

    refused: int = 0
    """Datagrams that the peer's host has refused (ICMP, port unreachable)."""

    def _transmit(self, connection: socket.socket, data: bytes) -> None:
        try:
            try:
                connection.send(data)
            except ConnectionRefusedError as error:  # of an earlier datagram; this one was not sent (udp(7))
                self.refused += 1
                pool_of(self).log.warn("refused", "%s has refused a datagram: %s", self.peer, error)
                connection.send(data)
        except OSError as error:
            if error.errno != errno.EMSGSIZE:
                raise
            raise ValueError(f"a message of {len(data)} bytes is too long for UDP") from None

    def _connected(self) -> socket.socket:
        """Return a new socket for datagrams to the peer."""
        _ = self.peer
        found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_DGRAM)
        # Nothing tells if the server listens on the other one, too; TVTrader agents knows IPv4 only.
        family, kind, protocol, _, address = min(found, key=lambda one: one[0] != socket.AF_INET)
        made = socket.socket(family, kind, protocol)
        try:
            made.connect(address)
        except OSError:
            made.close()
            raise
        return made
