"""Concurrent connection attempts to advertised addresses."""

import asyncio
import errno
import socket
from collections.abc import Iterable
from pathlib import Path

from colugo.diagnosis.facts import Reach
from colugo.net.addresses.probe import socket_address

_TIMEOUT_S = 1.0
_AT_ONCE = 128
_ARP = Path("/proc/net/arp")
_COMPLETE = 0x2
_NO_ROUTE = (errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.EINVAL, errno.EACCES, errno.EPERM)


async def try_all(targets: Iterable[tuple[str, int]]) -> dict[tuple[str, int], Reach]:
    """Try a TCP connection to each address (with its zone, if it has one) and port, for up to a second."""
    limit = asyncio.Semaphore(_AT_ONCE)

    async def attempt(target: tuple[str, int]) -> Reach:
        async with limit:
            return await _try_one(*target)

    wanted = list(dict.fromkeys(targets))
    return dict(zip(wanted, await asyncio.gather(*map(attempt, wanted)), strict=True))


async def _try_one(address: str, port: int) -> Reach:
    loop = asyncio.get_running_loop()
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as tcp:
        tcp.setblocking(False)
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                await loop.sock_connect(tcp, socket_address(address, port))
        except ConnectionRefusedError:
            return Reach.REFUSED
        except TimeoutError:
            return Reach.NO_HOST if _is_unresolved(address) else Reach.SILENT
        except OSError as error:
            if error.errno in _NO_ROUTE or not _is_unresolved(address):
                return Reach.UNREACHABLE
            return Reach.NO_HOST
    return Reach.OPEN


def neighbours() -> dict[str, tuple[str, bool]]:
    """Read the ARP table (Linux): the interface by IPv4 address, and whether a machine answered for it."""
    try:
        lines = _ARP.read_text(encoding="ascii").splitlines()[1:]
    except OSError:
        return {}
    rows = [line.split() for line in lines]
    return {row[0]: (row[5], bool(int(row[2], 16) & _COMPLETE)) for row in rows if len(row) == 6}  # noqa: PLR2004 - columns


def _is_unresolved(address: str) -> bool:
    """Return True if no machine answered the ARP request for an address (RFC 826)."""
    _, answered = neighbours().get(address, ("", True))
    return not answered
