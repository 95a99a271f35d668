"""One-shot mDNS queries (RFC 6762 §5.1), and keeping mDNS sockets to their interfaces."""

import asyncio
import random
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast

from zeroconf import DNSIncoming, DNSOutgoing, DNSQuestion, Zeroconf

SERVICE_TYPE = "_colugo._tcp.local."
TYPE_PTR = 12
TYPE_SRV = 33
_CLASS_IN = 1
_GROUP = "224.0.0.251"
_PORT = 5353
_TTL = 255
_IP_MULTICAST_ALL = 49  # linux/in.h; not in Python's socket module
_SO_BINDTODEVICE = 25


class OneShotQuerier(asyncio.DatagramProtocol):
    """Asks from an ephemeral port on each interface.

    Responders answer such a query by unicast and without delay (RFC 6762 §6.7): after about 1 ms,
    where a browser's first query alone is put off by 20 to 120 ms (§5.2).

    Args:
        addresses: the IPv4 addresses of the interfaces.
        on_answer: gets each response.
    """

    def __init__(self, addresses: list[str], on_answer: Callable[[DNSIncoming], None]) -> None:
        self._addresses = addresses
        self._on_answer = on_answer
        self._transports: list[asyncio.DatagramTransport] = []

    async def open(self) -> None:
        """Make the sockets.

        Raises:
            OSError: if an address is not there (any more).
        """
        loop = asyncio.get_running_loop()
        for address in self._addresses:
            transport, _ = await loop.create_datagram_endpoint(lambda: self, sock=_multicast_socket(address))
            self._transports.append(transport)

    def ask(self, names: list[str], record_type: int) -> None:
        """Send a question for each name on each interface."""
        # not "multicast" in zeroconf's sense: that writes the id 0, and responders drop a query that
        # equals one of the last second as a duplicate, even if another process had sent it
        query = DNSOutgoing(0, multicast=False, id_=random.randrange(1, 1 << 16))  # noqa: S311 - no secret
        for name in names:
            query.add_question(DNSQuestion(name, record_type, _CLASS_IN))
        for packet in query.packets():
            for transport in self._transports:
                transport.sendto(packet, (_GROUP, _PORT))

    def close(self) -> None:
        """Close the sockets."""
        for transport in self._transports:
            transport.close()

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        """Take a response in; asyncio calls this."""
        message = DNSIncoming(data, cast("tuple[str, int]", addr[:2]))
        if message.valid and message.is_response():
            self._on_answer(message)

    def error_received(self, exc: Exception) -> None:
        """Ignore: an interface that is down now does not answer, and others do."""


def _multicast_socket(address: str) -> socket.socket:
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        udp.setblocking(False)
        udp.bind((address, 0))
        udp.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(address))
        udp.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, _TTL)
        udp.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 1)
    except OSError:
        udp.close()
        raise
    return udp


def confine(zeroconf: Zeroconf, *, host_only: bool) -> None:
    """Keep zeroconf's listening socket, which is bound to every address, to the chosen interfaces.

    On Linux such a socket otherwise hears each group that any process of the host has joined
    (ip(7), IP_MULTICAST_ALL), and would answer questions that came in by other interfaces.

    Args:
        zeroconf: a started instance.
        host_only: bind it to the loopback device too.
    """
    if sys.platform != "linux":
        return
    for transport in zeroconf.engine.readers:
        with suppress(OSError):  # an old kernel: what is left is heard, but not sent
            transport.sock.setsockopt(socket.IPPROTO_IP, _IP_MULTICAST_ALL, 0)
            if host_only:
                transport.sock.setsockopt(socket.SOL_SOCKET, _SO_BINDTODEVICE, b"lo")
