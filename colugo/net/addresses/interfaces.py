"""The scope of a node: the interfaces and addresses that it uses."""

import ipaddress
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import ifaddr

from colugo.errors import ConfigurationError

LOOPBACK = "127.0.0.1"
_UP = 0x1
_IS_LOOPBACK = 0x8
_MULTICAST = 0x1000
_IF_INET6 = Path("/proc/net/if_inet6")
_UNUSABLE = 0x01 | 0x08 | 0x20 | 0x40
"""Flags of linux/if_addr.h: temporary (RFC 8981), duplicate, deprecated, tentative."""


@dataclass(frozen=True, slots=True)
class Scope:
    """The addresses that a node binds, advertises and sends queries from.

    Attributes:
        name: the scope as configured: `host`, `lan`, or interface names and addresses.
        addresses: the IP addresses, at least one; IPv6 link-local ones with their zone (RFC 4007 §11).
        host_only: whether no packet may leave the host.
        note: a remark for the user; may be empty.
        instead_of: the configured scope, if no network is available for it now.
    """

    name: str
    addresses: tuple[str, ...]
    host_only: bool = False
    note: str = ""
    instead_of: str = ""

    @property
    def wanted(self) -> str:
        """The configured scope."""
        return self.instead_of or self.name

    @property
    def zones(self) -> tuple[str, ...]:
        """The zones of its link-local addresses, in which link-local addresses of peers may be."""
        return tuple(dict.fromkeys(address.partition("%")[2] for address in self.addresses if "%" in address))

    def __str__(self) -> str:
        return f"{self.name} ({', '.join(self.addresses)})"


HOST = Scope("host", (LOOPBACK,), host_only=True)


def resolve_scope(text: str) -> Scope:
    """Find the addresses of a scope.

    Args:
        text: `"host"` (127.0.0.1 only), `"lan"` (every real interface that is up; 127.0.0.1 while none is),
            or interface names and addresses, separated by commas. Empty means `"lan"`.

    Raises:
        ConfigurationError: if a name or address does not exist; the text lists the existing ones.
    """
    return _resolve(text.strip() or "lan", all)


def scope_now(wanted: str) -> Scope:
    """Find the current addresses of a configured scope; missing names and addresses are skipped.

    Raises:
        ConfigurationError: if none of its names and addresses exists now.
    """
    return _resolve(wanted, any)


def _resolve(text: str, enough: Callable[[Iterable[bool]], bool]) -> Scope:
    if text == "host":
        return HOST
    interfaces = _interfaces()
    if text == "lan":
        return _lan(interfaces)
    words = list(filter(None, (part.strip() for part in text.split(","))))
    if not words:
        raise ConfigurationError(f"scope: {text!r} names no interface or address")
    found = {word: _addresses_of(word, interfaces) for word in words}
    missing = ", ".join(word for word in found if not found[word])
    if not enough(map(bool, found.values())):
        there = ", ".join(f"{name} ({', '.join(has)})" for name, has in interfaces.items()) or "none"
        raise ConfigurationError(f"scope: this host has no interface or address {missing!r}; it has: {there}")
    addresses = tuple(dict.fromkeys(address for each in found.values() for address in each))
    note = f"{missing} is missing now" if missing else ""
    return Scope(text, addresses, host_only=all(map(is_loopback, addresses)), note=note)


def _lan(interfaces: dict[str, list[str]]) -> Scope:
    found = tuple(
        address
        for name, addresses in interfaces.items()
        if _is_real(name, addresses)
        for address in addresses
    )
    if found:
        return Scope("lan", found)
    note = "no network interface is up, so only nodes on this host are found"
    return Scope("host", (LOOPBACK,), host_only=True, note=note, instead_of="lan")


def host_addresses() -> set[str]:
    """Return all current addresses of this host, in the form that scopes use."""
    return {
        ip.ip if isinstance(ip.ip, str) else _with_zone(ip.ip[0], adapter.nice_name, adapter.index)
        for adapter in ifaddr.get_adapters()
        for ip in adapter.ips
    }


def interface_index(address: str) -> int:
    """Return the index of the interface that has an address, or 0 if none has."""
    plain, _, zone = address.partition("%")
    for adapter in ifaddr.get_adapters():
        if zone in {"", adapter.nice_name, str(adapter.index)} and any(
            plain == (ip.ip if isinstance(ip.ip, str) else ip.ip[0]) for ip in adapter.ips
        ):
            return adapter.index or 0
    return 0


def is_loopback(address: str) -> bool:
    """Return True for a loopback address."""
    return ipaddress.ip_address(address).is_loopback


def without_zone(address: str) -> str:
    """Return an address without its zone, which is valid only on its own host (RFC 4007 §6)."""
    return address.partition("%")[0]


def _addresses_of(word: str, interfaces: dict[str, list[str]]) -> list[str]:
    if word in interfaces:
        return interfaces[word]
    return [one for addresses in interfaces.values() for one in addresses if word in {one, without_zone(one)}]


def _interfaces() -> dict[str, list[str]]:
    """Return the addresses of each interface, IPv4 first."""
    interfaces: dict[str, list[str]] = {}
    unusable = _unusable()
    for adapter in ifaddr.get_adapters():
        name = adapter.nice_name
        for ip in adapter.ips:
            if isinstance(ip.ip, str):
                interfaces.setdefault(name, []).append(ip.ip)
        for ip in adapter.ips:
            if not isinstance(ip.ip, str) and ip.ip[0] not in unusable:
                interfaces.setdefault(name, []).append(_with_zone(ip.ip[0], name, adapter.index))
    return interfaces


def _with_zone(address: str, name: str, index: int | None) -> str:
    if not ipaddress.IPv6Address(address).is_link_local:
        return address
    return f"{address}%{index if sys.platform == 'win32' else name}"


def _unusable() -> set[str]:
    """Return IPv6 addresses that cannot be bound yet, or should not be advertised (Linux)."""
    try:
        lines = [line.split() for line in _IF_INET6.read_text(encoding="ascii").splitlines()]
    except OSError:
        return set()
    return {str(ipaddress.IPv6Address(int(line[0], 16))) for line in lines if int(line[4], 16) & _UNUSABLE}


def _is_real(name: str, addresses: list[str]) -> bool:
    """Return True for an interface that is up, supports multicast (Linux) and is not loopback."""
    try:
        flags = int(Path(f"/sys/class/net/{name.partition(':')[0]}/flags").read_text(encoding="ascii"), 16)
    except (OSError, ValueError):
        return not any(map(is_loopback, addresses))
    return bool(flags & _UP and flags & _MULTICAST and not flags & _IS_LOOPBACK)
