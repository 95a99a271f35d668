"""A test of multicast DNS on each interface: a query of our own, and the answers of other hosts."""

import asyncio
import secrets
import socket
import struct
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from zeroconf import DNSIncoming, DNSOutgoing, DNSPointer, DNSQuestion

from colugo.diagnosis.facts import HostFact, InterfaceFact, Multicast
from colugo.net.mdns.query import SERVICE_TYPE, TYPE_PTR

_PORT = 5353
_GROUPS = {socket.AF_INET: "224.0.0.251", socket.AF_INET6: "ff02::fb"}
_CLASS_IN = 1
_RESPONSE_FLAGS = 0x8400
_TTL = 255
_ASK_AT_S = (0.0, 0.2, 0.5)
_IP_MULTICAST_ALL = 49  # linux/in.h; not in Python's socket module


class _Datagrams(asyncio.DatagramProtocol):
    """A protocol that passes on valid DNS messages and keeps the last error of sending."""

    def __init__(self, on_message: Callable[[DNSIncoming, tuple[str, int]], None]) -> None:
        self._on_message = on_message
        self.error = ""

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        message = DNSIncoming(data, addr)
        if message.valid:
            self._on_message(message, addr)

    def error_received(self, exc: Exception) -> None:
        self.error = str(exc)


class MulticastTrial:
    """A test of one interface, with a listener on port 5353 and a sender on a port of its own.

    If the query returns to the listener, this machine can send and receive multicast on the interface. If
    other hosts answer, the network carries it.

    `on_host` is called with the address of each host that answers for colugo's service type.
    """

    def __init__(self, interface: InterfaceFact, on_host: Callable[[str], None]) -> None:
        self._interface = interface
        self._on_host = on_host
        self._family = socket.AF_INET6 if ":" in interface.address else socket.AF_INET
        self._name = f"_{secrets.token_hex(6)}._colugo-doctor._udp.local."
        self._sent_at = 0.0
        self._returned = False
        self._took_ms: float | None = None

    async def run(self, seconds: float) -> InterfaceFact:
        """Send queries and listen for a number of seconds."""
        loop = asyncio.get_running_loop()
        sender = _Datagrams(self._on_answer)
        transports: list[asyncio.DatagramTransport] = []
        try:
            listening = loop.create_datagram_endpoint(
                lambda: _Datagrams(self._on_question), sock=self._listener()
            )
            transports.append((await listening)[0])
            asking = loop.create_datagram_endpoint(lambda: sender, sock=self._sender())
            transports.append((await asking)[0])
            self._answer_by = transports[0]
            self._sent_at = loop.time()
            await _repeat(seconds, lambda: self._ask(transports[1]))
        except OSError as error:
            return self._fact(Multicast.NOT_SENT, str(error))
        finally:
            for transport in transports:
                transport.close()
        if self._took_ms is not None:
            return self._fact(Multicast.WORKS)
        if sender.error and not self._returned:
            return self._fact(Multicast.NOT_SENT, sender.error)
        return self._fact(Multicast.NOT_ANSWERED if self._returned else Multicast.NOT_RECEIVED)

    def _ask(self, transport: asyncio.DatagramTransport) -> None:
        for packet in (*_question(self._name), *_question(SERVICE_TYPE)):
            transport.sendto(packet, (_GROUPS[self._family], _PORT))

    def _on_question(self, message: DNSIncoming, source: tuple[str, int]) -> None:
        if any(question.name == self._name for question in message.questions):
            self._returned = True
            answer = DNSOutgoing(_RESPONSE_FLAGS, multicast=False, id_=message.id)
            answer.add_answer_at_time(DNSPointer(self._name, TYPE_PTR, _CLASS_IN, _TTL, self._name), 0)
            for packet in answer.packets():
                self._answer_by.sendto(packet, source)

    def _on_answer(self, message: DNSIncoming, source: tuple[str, int]) -> None:
        names = {record.name for record in message.answers()} if message.is_response() else set()
        if self._name in names and self._took_ms is None:
            self._took_ms = (asyncio.get_running_loop().time() - self._sent_at) * 1000
        if SERVICE_TYPE in names:
            self._on_host(source[0])

    def _fact(self, outcome: Multicast, error: str = "") -> InterfaceFact:
        return replace(self._interface, multicast=outcome, error=error, round_trip_ms=self._took_ms or 0.0)

    def _sender(self) -> socket.socket:
        interface = self._interface
        with _closed_on_error(socket.socket(self._family, socket.SOCK_DGRAM)) as udp:
            udp.setblocking(False)
            if self._family is socket.AF_INET:
                udp.bind((interface.address, 0))
                mine = socket.inet_aton(interface.address)
                udp.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, mine)
                udp.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, _TTL)
                udp.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 1)
            else:
                udp.bind((interface.address, 0, 0, interface.index))
                udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, interface.index)
                udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, _TTL)
                udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_LOOP, 1)
        return udp

    def _listener(self) -> socket.socket:
        with _closed_on_error(shared_port(self._family)) as udp:
            if self._family is socket.AF_INET:
                if sys.platform == "linux":
                    udp.setsockopt(socket.IPPROTO_IP, _IP_MULTICAST_ALL, 0)
                group = socket.inet_aton(_GROUPS[self._family]) + socket.inet_aton(self._interface.address)
                udp.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)
            else:
                group = socket.inet_pton(socket.AF_INET6, _GROUPS[self._family])
                group += struct.pack("@I", self._interface.index)
                udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, group)
        return udp


def shared_port(family: socket.AddressFamily = socket.AF_INET) -> socket.socket:
    """Open a socket on UDP port 5353, shared with other programs.

    Raises:
        OSError: if another program holds the port exclusively.
    """
    with _closed_on_error(socket.socket(family, socket.SOCK_DGRAM)) as udp:
        udp.setblocking(False)
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "SO_REUSEPORT"):
            udp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family is socket.AF_INET6:
            udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        udp.bind(("", _PORT))
    return udp


@contextmanager
def _closed_on_error(udp: socket.socket) -> Iterator[socket.socket]:
    try:
        yield udp
    except OSError:
        udp.close()
        raise


async def _repeat(seconds: float, send: Callable[[], None]) -> None:
    """Send a few times, because packets get lost, and wait for answers until the seconds have passed."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    for at in _ASK_AT_S:
        if at < seconds:
            await asyncio.sleep(max(0.0, began + at - loop.time()))
            send()
    await asyncio.sleep(max(0.0, began + seconds - loop.time()))


async def ask_directly(hosts: Iterable[tuple[str, bool]], seconds: float) -> list[HostFact]:
    """Query hosts for colugo's service type by unicast (RFC 6762 §5.5), without multicast.

    Each is a name or address, with True if the user gave it.
    """
    loop = asyncio.get_running_loop()
    answered: set[str] = set()

    def on_answer(message: DNSIncoming, source: tuple[str, int]) -> None:
        if message.is_response() and any(record.name == SERVICE_TYPE for record in message.answers()):
            answered.add(source[0])

    wanted = list(hosts)
    if not wanted:
        return []
    protocol = _Datagrams(on_answer)
    transport, _ = await loop.create_datagram_endpoint(lambda: protocol, local_addr=("0.0.0.0", 0))  # noqa: S104 - it only sends queries and receives their answers
    try:
        addresses, errors = await _resolve([host for host, _ in wanted])

        def ask() -> None:
            for address in addresses.values():
                for packet in _question(SERVICE_TYPE):
                    transport.sendto(packet, (address, _PORT))

        await _repeat(seconds, ask)
    finally:
        transport.close()
    return [
        HostFact(addresses.get(host, host), addresses.get(host) in answered, given, errors.get(host, ""))
        for host, given in wanted
    ]


async def _resolve(hosts: list[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Resolve hosts; return their IPv4 addresses, and the errors of the others."""
    loop = asyncio.get_running_loop()
    addresses: dict[str, str] = {}
    errors: dict[str, str] = {}
    for host in hosts:
        try:
            found = await loop.getaddrinfo(host, _PORT, family=socket.AF_INET, type=socket.SOCK_DGRAM)
            addresses[host] = str(found[0][4][0])
        except OSError as error:
            errors[host] = str(error)
    return addresses, errors


def _question(name: str) -> list[bytes]:
    # a new id each time: responders drop a query that equals one of the last second
    query = DNSOutgoing(0, multicast=False, id_=secrets.randbelow(65535) + 1)
    query.add_question(DNSQuestion(name, TYPE_PTR, _CLASS_IN))
    return query.packets()
