"""One-shot mDNS queries (RFC 6762 §5.1), and confining mDNS sockets to their interfaces."""

import logging
import random
import socket
import sys
from collections.abc import Callable
from contextlib import suppress

from tornado.ioloop import IOLoop
from zeroconf import DNSIncoming, DNSOutgoing, DNSQuestion, Zeroconf

from colugo.net.addresses.interfaces import Scope, interface_index, is_loopback
from colugo.net.addresses.probe import socket_address

log = logging.getLogger("colugo.discovery")

SERVICE_TYPE = "_colugo._tcp.local."
TYPE_PTR = 12
TYPE_SRV = 33
_CLASS_IN = 1
_GROUP = "224.0.0.251"
_GROUP_V6 = "ff02::fb"
_PORT = 5353
_TTL = 255
_RECEIVE_BYTES = 4 * 1024 * 1024
"""Enough for the answers of a large network; the system may reduce it."""
_MAX_PACKET = 9000
"""RFC 6762 §17."""
_IP_MULTICAST_ALL = 49  # linux/in.h; not in Python's socket module
_IPV6_MULTICAST_ALL = 29  # linux/in6.h
_SO_BINDTODEVICE = 25


def mdns_addresses(scope: Scope) -> list[str]:
    """Return the addresses to send mDNS from: all IPv4 ones, and a link-local IPv6 one per interface.

    A host with both uses both (RFC 6762 §20), because others may have only one of them.
    """
    v4 = [address for address in scope.addresses if ":" not in address]
    v6 = [address for address in scope.addresses if ":" in address and not is_loopback(address)]
    link_local = {address.partition("%")[2]: address for address in reversed(v6) if "%" in address}
    return [*v4, *(link_local.values() or v6)]


class OneShotQuerier:
    """A sender of queries from an ephemeral port on each interface.

    Responders answer such a query by unicast and without delay (RFC 6762 §6.7), after about 1 ms. A
    browser's first query alone is delayed by 20 to 120 ms (§5.2). Missing addresses are skipped.

    Raises:
        OSError: if none of the addresses can be used.
    """

    def __init__(self, addresses: list[str], on_answer: Callable[[DNSIncoming], None]) -> None:
        self._on_answer = on_answer
        self._loop = IOLoop.current()
        self._sockets: list[socket.socket] = []
        for address in addresses:
            try:
                self._sockets.append(_multicast_socket(address))
            except OSError as error:
                if not self._sockets and address == addresses[-1]:
                    raise
                log.debug("no queries on %s: %s", address, error)
        for udp in self._sockets:
            self._loop.add_handler(udp, self._readable, IOLoop.READ)

    def ask(self, names: list[str], record_type: int) -> None:
        """Send a question for each name on each interface; interfaces that are down are skipped."""
        # not "multicast" in zeroconf's sense: that uses the id 0, and responders drop a query that equals
        # another one of the last second, even from another process
        query = DNSOutgoing(0, multicast=False, id_=random.randrange(1, 1 << 16))  # noqa: S311 - no secret
        for name in names:
            query.add_question(DNSQuestion(name, record_type, _CLASS_IN))
        for packet in query.packets():
            for udp in self._sockets:
                group = _GROUP if udp.family == socket.AF_INET else _GROUP_V6
                try:
                    udp.sendto(packet, (group, _PORT))
                except OSError as error:
                    log.debug("no query on %s: %s", udp.getsockname()[0], error)

    def close(self) -> None:
        """Close the sockets."""
        for udp in self._sockets:
            if udp.fileno() in self._loop.handlers:  # type: ignore[attr-defined]
                self._loop.remove_handler(udp)
            udp.close()
        self._sockets.clear()

    def _readable(self, udp: socket.socket, events: int) -> None:
        del events
        while True:
            try:
                data, source = udp.recvfrom(_MAX_PACKET)
            except BlockingIOError:
                return
            except OSError as error:  # such as an ICMP error in reply to a query
                log.debug("no answer on %s: %s", udp.getsockname()[0], error)
                return
            message = DNSIncoming(data, source[:2])
            if message.valid and message.is_response():
                self._on_answer(message)


def _multicast_socket(address: str) -> socket.socket:
    is_v6 = ":" in address
    udp = socket.socket(socket.AF_INET6 if is_v6 else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        udp.setblocking(False)
        with suppress(OSError):  # the system's default size remains
            udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BYTES)
        udp.bind(socket_address(address, 0))
        if is_v6:
            udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, interface_index(address))
            udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, _TTL)
            udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_LOOP, 1)
        else:
            udp.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(address))
            udp.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, _TTL)
            udp.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 1)
    except OSError:
        udp.close()
        raise
    return udp


def confine(zeroconf: Zeroconf, *, host_only: bool) -> None:
    """Confine zeroconf's listening sockets to the chosen interfaces, and enlarge their receive buffers.

    The sockets are bound to every address. On Linux, they would receive each group that any process of the
    host has joined (ip(7), IP_MULTICAST_ALL), and answer queries from other interfaces. With `host_only`,
    they are bound to the loopback device.
    """
    for transport in zeroconf.engine.readers:
        with suppress(OSError):  # the system's default size remains
            transport.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BYTES)
    if sys.platform != "linux":
        return
    for transport in zeroconf.engine.readers:
        device = b"lo" if host_only else b""
        with suppress(OSError):  # on an old kernel, only sending is confined
            transport.sock.setsockopt(socket.IPPROTO_IP, _IP_MULTICAST_ALL, 0)
            if transport.sock.family == socket.AF_INET6:
                transport.sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_MULTICAST_ALL, 0)
            transport.sock.setsockopt(socket.SOL_SOCKET, _SO_BINDTODEVICE, device)
