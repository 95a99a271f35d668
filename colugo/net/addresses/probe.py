"""Which of a peer's addresses to try, and which one answers."""

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
"""After so long, all of very many addresses are being tried."""
PROBE_S = 1.5
"""How long an address has to answer: a lost SYN is sent again after a second (RFC 6298 §2)."""


class ProbeAnswer(Enum):
    """How the addresses of a peer have answered to a TCP connection."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    SILENT = "silent"


def candidates(advertisement: Advertisement, scope: Scope, host_id: str) -> list[str]:
    """The addresses at which a peer may be met, the likeliest first.

    A peer on this host is met at an address that is ours too. One on another host is not, if it has others:
    many hosts have the same one on a bridge of their own, such as Docker's. (If it has no others, the two
    share a network without sharing files, as the containers of a pod do.) What shares its first bits (24, of
    IPv6 64) with an address of ours comes first. A link-local address of IPv6 may be in any of our zones.

    Args:
        advertisement: the peer.
        scope: our addresses.
        host_id: our host.
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
    return ip.version == 6 and ip.is_link_local  # noqa: PLR2004 - those of IPv4 have no zones


def went_by(address: str, gone: Iterable[str], left: Iterable[str]) -> bool:
    """Whether a connection to an address may have come from one of ours that is gone: such a one is dead.

    Nothing tells so: what the other side sends goes nowhere, until the connection times out.

    Args:
        address: of the other side.
        gone: our addresses that the host has no more.
        left: those that it has.
    """
    network = _network(without_zone(address))
    return network in {_network(without_zone(one)) for one in gone} or (
        any(True for _ in gone) and network not in {_network(without_zone(one)) for one in left}
    )


def _network(address: str) -> str:
    prefix = _NEAR_PREFIX[ipaddress.ip_address(address).version]
    return str(ipaddress.ip_network((address, prefix), strict=False))


async def probe(addresses: Iterable[str], port: int) -> tuple[ProbeAnswer, str]:
    """Connect to all of them side by side, each a little later than the one before it.

    Args:
        addresses: the addresses, the preferred ones first.
        port: the TCP port.

    Returns:
        What came of it, and the address that accepted first; or "".
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
    """What Python's sockets take for an address.

    Raises:
        OSError: if there is no such zone.
    """
    if ":" not in address:
        return address, port
    plain, _, zone = address.partition("%")
    return plain, port, 0, zone_index(zone)


def zone_index(zone: str) -> int:
    """The index of an interface, 0 for no zone.

    Raises:
        OSError: if there is no such interface.
    """
    if not zone:
        return 0
    return int(zone) if sys.platform == "win32" or zone.isdecimal() else socket.if_nametoindex(zone)
