"""Static peers: nodes configured by address, for networks without multicast."""

import asyncio
import ipaddress
import re
import socket
import threading
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

from colugo.errors import ConfigurationError
from colugo.net.addresses.interfaces import Scope
from colugo.protocol.advertisement import endpoint

_PEER = re.compile(
    r"(?:\[(?P<v6>[0-9A-Fa-f:.]+(?:%[\w.-]+)?)\]|(?P<host>[A-Za-z0-9._-]+)):(?P<port>[0-9]{1,5})"
)
_MAX_PORT = 65535
_MAX_HOST_CHARS = 253


@dataclass(frozen=True, slots=True)
class StaticPeer:
    """The address of another node's endpoint, with an IP address or a name."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def address(self) -> str | None:
        """The host if it is an IP address, otherwise None."""
        try:
            ipaddress.ip_address(self.host)
        except ValueError:
            return None
        return self.host

    async def endpoints(self, scope: Scope) -> list[str]:
        """Return the current endpoints, one for each of `addresses`."""
        return [endpoint(one, self.port) for one in await self.addresses(scope)]

    async def addresses(self, scope: Scope) -> list[str]:
        """Resolve the host to its current addresses.

        A loopback address stands for this host, so the addresses of the scope are added to it: only nodes of
        scope `host` are bound to loopback. In it, only addresses of this host are returned, and no name
        server is queried.
        """
        host_only = scope.host_only
        if host_only and self.host != "localhost" and not _is_loopback(self.address):
            return []
        found = [self.address] if self.address else await _resolve(self.host)
        if host_only:
            return [one for one in found if _is_loopback(one)]
        here = scope.addresses if any(map(_is_loopback, found)) else ()
        return list(dict.fromkeys([*found, *here]))


def check_peers(peers: Iterable[str], source: str) -> list[StaticPeer]:
    """Parse the addresses of peers, such as `"[2001:db8::7]:4711"`; duplicates are dropped.

    Raises:
        ConfigurationError: if one of them is not host and port; names the source, an option or variable.
    """
    if isinstance(peers, str):
        raise ConfigurationError(f"{source} takes a list of host:port, not the str {peers!r}")
    return list(dict.fromkeys(_parse(text, source) for text in peers))


def _parse(text: object, source: str) -> StaticPeer:
    found = _PEER.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise ConfigurationError(
            f"{source} takes host:port, such as 192.0.2.7:4711 or [2001:db8::7]:4711, not {text!r}"
        )
    port = int(found["port"])
    if not 0 < port <= _MAX_PORT:
        raise ConfigurationError(
            f"{source}: a port must be an integer from 1 to {_MAX_PORT}, not {port} in {text!r}"
        )
    host = found["v6"] or found["host"]
    digits = host.replace(".", "").isdigit()
    if found["v6"] or digits:  # a name of digits only must be a mistyped address
        try:
            ipaddress.ip_address(host)
        except ValueError as error:
            raise ConfigurationError(f"{source}: {error} in {text!r}") from error
    elif len(host) > _MAX_HOST_CHARS or not all(host.split(".")):
        raise ConfigurationError(f"{source}: {host!r} in {text!r} is not a valid host name")
    return StaticPeer(host, port)


async def _resolve(host: str) -> list[str]:
    """Resolve a name on a separate thread; ZeroMQ would block its I/O thread, which carries all messages."""
    loop = asyncio.get_running_loop()
    found: asyncio.Future[list[str]] = loop.create_future()

    def resolve() -> None:
        try:
            answers = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):  # unknown name, or no name server
            answers = []
        addresses = list(dict.fromkeys(str(answer[4][0]) for answer in answers))

        def deliver() -> None:
            if not found.done():
                found.set_result(addresses)

        with suppress(RuntimeError):  # the loop has been closed meanwhile
            loop.call_soon_threadsafe(deliver)

    threading.Thread(target=resolve, name=f"colugo resolves {host}", daemon=True).start()
    return await found


def _is_loopback(address: str | None) -> bool:
    return address is not None and ipaddress.ip_address(address).is_loopback
