"""The candidate addresses of a peer, and probing them."""

import asyncio
import ipaddress
import socket
import sys
from collections.abc import Iterable
from enum import Enum

from colugo.net.addresses.interfaces import Scope, is_loopback, without_zone
from colugo.protocol.advertisement import Advertisement

_NEAR_PREFIX = {4: 24, 6: 64}
_HEAD_START_S = 0.01
_ALL_BEGUN_S = 0.4
"""The time within which attempts to all addresses begin, however many there are."""
PROBE_S = 1.5
"""The timeout of an attempt: a lost SYN is retransmitted after a second (RFC 6298 §2)."""


class ProbeAnswer(Enum):
    """The result of connecting to the addresses of a peer."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    SILENT = "silent"


def candidates(advertisement: Advertisement, scope: Scope, host_id: str) -> list[str]:
    """Return the addresses to try for a peer, the likeliest first.

    For a peer on this host, these are the addresses that we share with it. For a peer on another host, shared
    addresses are excluded if it has others, because many hosts use the same address on a local bridge such
    as Docker's. (If it has no others, the two share a network, but not files, like containers of a pod.)
    Addresses with the same prefix as ours (24 bits, IPv6: 64) come first. An IPv6 link-local address may be
    in any of our zones.
    """
    own = {without_zone(address) for address in scope.addresses}
    addresses = list(advertisement.addresses)
    if host_id and advertisement.host_id == host_id:
        shared = [one for one in addresses if one in own and not _is_link_local(one)]
        if shared:
            return shared
    elif advertisement.host_id:
        addresses = [one for one in addresses if one not in own and not is_loopback(one)] or addresses
    return _ordered(addresses, own, scope.zones)


def _ordered(addresses: list[str], own: set[str], zones: tuple[str, ...]) -> list[str]:
    near = {_network(address) for address in own}

    def distance(address: str) -> int:
        if _is_link_local(address):
            return 1
        return 0 if _network(address) in near else 2

    return [
        zoned
        for address in sorted(addresses, key=distance)
        for zoned in ([f"{address}%{zone}" for zone in zones] if _is_link_local(address) else [address])
    ]


def _is_link_local(address: str) -> bool:
    ip = ipaddress.ip_address(address)
    return ip.version == 6 and ip.is_link_local  # noqa: PLR2004 - IPv4 has no zones


def went_by(address: str, gone: Iterable[str], left: Iterable[str]) -> bool:
    """Return True if a connection to a peer may use a local address that is gone, so that it is dead.

    TCP does not report this: packets from the peer are lost until the connection times out.
    """
    network = _network(without_zone(address))
    return network in {_network(without_zone(one)) for one in gone} or (
        any(True for _ in gone) and network not in {_network(without_zone(one)) for one in left}
    )


def _network(address: str) -> str:
    prefix = _NEAR_PREFIX[ipaddress.ip_address(address).version]
    return str(ipaddress.ip_network((address, prefix), strict=False))


async def probe(addresses: Iterable[str], port: int) -> tuple[ProbeAnswer, str]:
    """Connect to all addresses concurrently, each attempt starting a little after the previous one.

    Returns:
        The result, and the address that accepted first, or "".
    """
    tried = list(addresses)
    step_s = min(_HEAD_START_S, _ALL_BEGUN_S / max(1, len(tried)))
    attempts = [
        asyncio.ensure_future(_connect(address, port, number * step_s))
        for number, address in enumerate(tried)
    ]
    answer = ProbeAnswer.SILENT
    try:
        for attempt in asyncio.as_completed(attempts, timeout=PROBE_S):
            one, address = await attempt
            if one is ProbeAnswer.ACCEPTED:
                return one, address
            if one is ProbeAnswer.REFUSED:
                answer = one
    except TimeoutError:
        pass
    finally:
        for task in attempts:
            task.cancel()
        await asyncio.gather(*attempts, return_exceptions=True)
    return answer, ""


async def _connect(address: str, port: int, wait_s: float) -> tuple[ProbeAnswer, str]:
    await asyncio.sleep(wait_s)
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as tcp:
            tcp.setblocking(False)
            await asyncio.get_running_loop().sock_connect(tcp, socket_address(address, port))
    except ConnectionRefusedError:
        return ProbeAnswer.REFUSED, address
    except OSError:  # no route, no such zone, a kernel without IPv6, no descriptor left
        return ProbeAnswer.SILENT, address
    return ProbeAnswer.ACCEPTED, address


def socket_address(address: str, port: int) -> tuple[str, int] | tuple[str, int, int, int]:
    """Return an address in the form that Python's sockets take.

    Raises:
        OSError: if its zone does not exist.
    """
    if ":" not in address:
        return address, port
    plain, _, zone = address.partition("%")
    return plain, port, 0, zone_index(zone)


def zone_index(zone: str) -> int:
    """Return the interface index of a zone; 0 without a zone.

    Raises:
        OSError: if the interface does not exist.
    """
    if not zone:
        return 0
    return int(zone) if sys.platform == "win32" or zone.isdecimal() else socket.if_nametoindex(zone)
