"""The scope of a node: which interfaces and addresses it uses."""

import ipaddress
import os
from dataclasses import dataclass
from pathlib import Path

import ifaddr

from colugo.errors import ConfigurationError

LOOPBACK = "127.0.0.1"
_UP = 0x1
_IS_LOOPBACK = 0x8
_MULTICAST = 0x1000


@dataclass(frozen=True, slots=True)
class Scope:
    """Which addresses a node binds, advertises and asks on.

    Attributes:
        name: as it was given: `host`, `lan`, or interface names and addresses.
        addresses: the IPv4 addresses, at least one.
        host_only: whether no packet may leave the machine.
        note: something the user should know, or empty.
    """

    name: str
    addresses: tuple[str, ...]
    host_only: bool = False
    note: str = ""

    def __str__(self) -> str:
        return f"{self.name} ({', '.join(self.addresses)})"


HOST = Scope("host", (LOOPBACK,), host_only=True)


def resolve_scope(text: str | None) -> Scope:
    """Find the addresses of a scope.

    Args:
        text: `"host"` (127.0.0.1 only), `"lan"` (every real interface that is up; if there is none,
            as `"host"`), or interface names and addresses divided by commas; None means the
            environment variable `COLUGO_SCOPE`, or `"lan"` without it.

    Raises:
        ConfigurationError: if a name or address is not there; the text lists those that are.
    """
    text = (text if text is not None else os.environ.get("COLUGO_SCOPE", "")).strip() or "lan"
    if text == "host":
        return HOST
    interfaces = _ipv4_interfaces()
    if text == "lan":
        found = tuple(
            address
            for name, addresses in interfaces.items()
            if _is_real(name, addresses)
            for address in addresses
        )
        if found:
            return Scope("lan", found)
        return Scope(
            "host", (LOOPBACK,), host_only=True, note="no network interface is up, so only this host is seen"
        )
    chosen: dict[str, None] = {}
    for word in filter(None, (part.strip() for part in text.split(","))):
        chosen.update(dict.fromkeys(_addresses_of(word, interfaces)))
    addresses = tuple(chosen)
    if not addresses:
        raise ConfigurationError(f"scope: {text!r} names no interface or address")
    return Scope(text, addresses, host_only=all(ipaddress.ip_address(one).is_loopback for one in addresses))


def _addresses_of(word: str, interfaces: dict[str, list[str]]) -> list[str]:
    if word in interfaces:
        return interfaces[word]
    if any(word in addresses for addresses in interfaces.values()):
        return [word]
    there = ", ".join(f"{name} ({', '.join(addresses)})" for name, addresses in interfaces.items()) or "none"
    raise ConfigurationError(f"scope: this host has no interface or address {word!r}; it has: {there}")


def _ipv4_interfaces() -> dict[str, list[str]]:
    interfaces: dict[str, list[str]] = {}
    for adapter in ifaddr.get_adapters():
        for ip in adapter.ips:
            if ip.is_IPv4 and isinstance(ip.ip, str):
                interfaces.setdefault(adapter.nice_name, []).append(ip.ip)
    return interfaces


def _is_real(name: str, addresses: list[str]) -> bool:
    """Up, able to multicast and not loopback; where the system has no flags to read: not loopback."""
    try:
        flags = int(Path(f"/sys/class/net/{name.partition(':')[0]}/flags").read_text(encoding="ascii"), 16)
    except (OSError, ValueError):
        return not any(ipaddress.ip_address(address).is_loopback for address in addresses)
    return bool(flags & _UP and flags & _MULTICAST and not flags & _IS_LOOPBACK)
