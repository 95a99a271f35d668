"""Trying multicast DNS on each interface: a question of our own, and who else answers."""

import asyncio
import secrets
import socket
import struct
import sys
from collections.abc import Callable, Iterable

from zeroconf import DNSIncoming, DNSOutgoing, DNSPointer, DNSQuestion

from colugo.cli.network.scope_interfaces import Interface
from colugo.diagnosis.facts import HostFact, InterfaceFact, Multicast
from colugo.net.mdns.query import SERVICE_TYPE, TYPE_PTR

_PORT = 5353
_GROUPS = {socket.AF_INET: "224.0.0.251", socket.AF_INET6: "ff02::fb"}
_CLASS_IN = 1
_RESPONSE_FLAGS = 0x8400
_TTL = 255
_ASK_AT_S = (0.0, 0.2, 0.5)
"""Again, for packets get lost."""
_IP_MULTICAST_ALL = 49  # linux/in.h; not in Python's socket module

Answer = Callable[[DNSIncoming, str], None]


class _Datagrams(asyncio.DatagramProtocol):
    """Hands over what is a DNS message; what cannot be sent is an error to keep."""

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
    """One interface: a listener on port 5353, and an asker on a port of its own.

    That the question comes back to the listener proves that this machine sends and takes multicast there;
    that other hosts answer, that the network carries it.

    Args:
        interface: to be tried.
        on_host: gets the address of each host that answers for colugo's service type.
    """

    def __init__(self, interface: Interface, on_host: Callable[[str], None]) -> None:
        self._interface = interface
        self._on_host = on_host
        self._family = socket.AF_INET6 if ":" in interface.address else socket.AF_INET
        self._name = f"_{secrets.token_hex(6)}._colugo-doctor._udp.local."
        self._sent_at = 0.0
        self._heard = False
        self._took_ms: float | None = None

    async def run(self, seconds: float) -> InterfaceFact:
        """Ask, and listen for so long."""
        loop = asyncio.get_running_loop()
        asker = _Datagrams(self._on_answer)
        transports: list[asyncio.DatagramTransport] = []
        try:
            listening = loop.create_datagram_endpoint(
                lambda: _Datagrams(self._on_question), sock=self._listener()
            )
            transports.append((await listening)[0])
            asking = loop.create_datagram_endpoint(lambda: asker, sock=self._asker())
            transports.append((await asking)[0])
            self._answer_by = transports[0]
            await self._ask(transports[1], seconds)
        except OSError as error:
            return self._fact(Multicast.NOT_SENT, str(error))
        finally:
            for transport in transports:
                transport.close()
        if self._took_ms is not None:
            return self._fact(Multicast.WORKS)
        if asker.error and not self._heard:
            return self._fact(Multicast.NOT_SENT, asker.error)
        return self._fact(Multicast.NOT_ANSWERED if self._heard else Multicast.NOT_HEARD)

    async def _ask(self, transport: asyncio.DatagramTransport, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        group = _GROUPS[self._family], _PORT
        self._sent_at = began
        for at in _ASK_AT_S:
            if at < seconds:
                await asyncio.sleep(max(0.0, began + at - loop.time()))
                for packet in (*_question(self._name), *_question(SERVICE_TYPE)):
                    transport.sendto(packet, group)
        await asyncio.sleep(max(0.0, began + seconds - loop.time()))

    def _on_question(self, message: DNSIncoming, source: tuple[str, int]) -> None:
        if any(question.name == self._name for question in message.questions):
            self._heard = True
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
        one = self._interface
        return InterfaceFact(one.name, one.address, one.prefix, outcome, error, self._took_ms or 0.0)

    def _asker(self) -> socket.socket:
        udp = socket.socket(self._family, socket.SOCK_DGRAM)
        try:
            udp.setblocking(False)
            if self._family is socket.AF_INET:
                udp.bind((self._interface.address, 0))
                mine = socket.inet_aton(self._interface.address)
                udp.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, mine)
                udp.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, _TTL)
                udp.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 1)
            else:
                udp.bind((self._interface.address, 0, 0, self._interface.index))
                udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, self._interface.index)
                udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, _TTL)
                udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_LOOP, 1)
        except OSError:
            udp.close()
            raise
        return udp

    def _listener(self) -> socket.socket:
        udp = shared_port(self._family)
        try:
            if self._family is socket.AF_INET:
                if sys.platform == "linux":
                    udp.setsockopt(socket.IPPROTO_IP, _IP_MULTICAST_ALL, 0)
                group = socket.inet_aton(_GROUPS[self._family]) + socket.inet_aton(self._interface.address)
                udp.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)
            else:
                group = socket.inet_pton(socket.AF_INET6, _GROUPS[self._family])
                group += struct.pack("@I", self._interface.index)
                udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, group)
        except OSError:
            udp.close()
            raise
        return udp


def shared_port(family: socket.AddressFamily = socket.AF_INET) -> socket.socket:
    """A socket on UDP port 5353, which others may have too.

    Raises:
        OSError: if they do not let it.
    """
    udp = socket.socket(family, socket.SOCK_DGRAM)
    try:
        udp.setblocking(False)
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "SO_REUSEPORT"):
            udp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family is socket.AF_INET6:
            udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        udp.bind(("", _PORT))
    except OSError:
        udp.close()
        raise
    return udp


async def ask_directly(hosts: Iterable[tuple[str, bool]], seconds: float) -> list[HostFact]:
    """Ask hosts for colugo's service type by unicast (RFC 6762 §5.5), which needs no multicast.

    Args:
        hosts: names or addresses, and whether the user has given them.
        seconds: how long to wait for answers.
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
    transport, _ = await loop.create_datagram_endpoint(lambda: protocol, local_addr=("0.0.0.0", 0))  # noqa: S104 - it asks, and takes answers only
    try:
        addresses, errors = await _resolve([host for host, _ in wanted])
        began = loop.time()
        for at in _ASK_AT_S:
            if at < seconds:
                await asyncio.sleep(max(0.0, began + at - loop.time()))
                for address in addresses.values():
                    for packet in _question(SERVICE_TYPE):
                        transport.sendto(packet, (address, _PORT))
        await asyncio.sleep(max(0.0, began + seconds - loop.time()))
    finally:
        transport.close()
    return [
        HostFact(addresses.get(host, host), addresses.get(host) in answered, given, errors.get(host, ""))
        for host, given in wanted
    ]


async def _resolve(hosts: list[str]) -> tuple[dict[str, str], dict[str, str]]:
    """The IPv4 addresses of hosts, and why others have none."""
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
    # an id of its own each time: responders drop what equals a question of the last second
    query = DNSOutgoing(0, multicast=False, id_=secrets.randbelow(65535) + 1)
    query.add_question(DNSQuestion(name, TYPE_PTR, _CLASS_IN))
    return query.packets()
