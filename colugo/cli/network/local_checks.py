"""Checks of this machine's network: multicast on each interface, port 5353, and expected hosts."""

import asyncio
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import ifaddr

from colugo.cli.network.connecting import neighbours
from colugo.cli.network.multicast import MulticastTrial, ask_directly, shared_port
from colugo.diagnosis.facts import Facts, HostFact, InterfaceFact
from colugo.net.addresses.interfaces import Scope, is_loopback
from colugo.net.mdns.query import mdns_addresses

_PROC = Path("/proc")
_UDP_TABLES = ("net/udp", "net/udp6")
_MDNS_PORT = ":14E9"  # 5353
_INODE_COLUMN = 9
_MOST_NEIGHBOURS = 32
_HOST_SCOPE = "the scope in force sends no packet to other machines"


async def check_surroundings(
    facts: Facts, scope: Scope, hosts: Sequence[str], seconds: float, *, thorough: bool
) -> None:
    """Add the findings of all checks to the facts; unless `thorough`, list the interfaces only."""
    facts.interfaces = found = _interfaces(scope)
    if thorough:
        facts.port_holders = _port_holders()
        try:
            shared_port().close()
        except OSError as error:
            facts.port_error = str(error)
    if not thorough or facts.port_error:
        return
    tried, facts.hosts = await asyncio.gather(
        asyncio.gather(*(_try(one, scope, facts, seconds) for one in found)),
        _ask_hosts(
            dict.fromkeys(_neighbours(found, scope), False) | dict.fromkeys(hosts, True), scope, seconds
        ),
    )
    facts.interfaces = list(tried)


async def _ask_hosts(hosts: dict[str, bool], scope: Scope, seconds: float) -> list[HostFact]:
    if scope.host_only:
        return [HostFact(host, answered=False, given=True, error=_HOST_SCOPE) for host in hosts]
    return await ask_directly(hosts.items(), seconds)


async def _try(one: InterfaceFact, scope: Scope, facts: Facts, seconds: float) -> InterfaceFact:
    # with IPv6, one address of an interface is enough to send from
    wanted = {address.partition("%")[0] for address in mdns_addresses(scope)}
    return await MulticastTrial(one, facts.answered_from.add).run(seconds) if one.address in wanted else one


def _interfaces(scope: Scope) -> list[InterfaceFact]:
    order = [address.partition("%")[0] for address in scope.addresses]
    found = [
        InterfaceFact(adapter.nice_name, address, ip.network_prefix, index=adapter.index or 0)
        for adapter in ifaddr.get_adapters()
        for ip in adapter.ips
        if (address := ip.ip if isinstance(ip.ip, str) else ip.ip[0]) in order
    ]
    return sorted(found, key=lambda one: order.index(one.address))


def _neighbours(found: list[InterfaceFact], scope: Scope) -> list[str]:
    """List the machines that this one has exchanged packets with on the interfaces in scope."""
    names = {one.name for one in found if not is_loopback(one.address)}
    known = neighbours().items()
    present = [address for address, (name, answered) in known if answered and name in names]
    return [address for address in present if address not in scope.addresses][:_MOST_NEIGHBOURS]


def _port_holders() -> list[str]:
    """List the other programs that have UDP port 5353 open, as far as permissions show them (Linux)."""
    wanted = {f"socket:[{inode}]" for table in _UDP_TABLES for inode in _inodes(_PROC / table)}
    if not wanted:
        return []
    names: set[str] = set()
    for process in _PROC.iterdir():
        if process.name.isdigit() and int(process.name) != os.getpid() and _has(process, wanted):
            with suppress(OSError):  # the process has exited meanwhile
                names.add((process / "comm").read_text(encoding="utf-8", errors="replace").strip())
    return sorted(names)


def _inodes(table: Path) -> list[str]:
    try:
        lines = table.read_text(encoding="ascii").splitlines()[1:]
    except OSError:
        return []
    rows = [line.split() for line in lines]
    return [row[_INODE_COLUMN] for row in rows if len(row) > _INODE_COLUMN and row[1].endswith(_MDNS_PORT)]


def _has(process: Path, wanted: set[str]) -> bool:
    try:
        return any(
            link.is_symlink() and str(link.readlink()) in wanted for link in (process / "fd").iterdir()
        )
    except OSError:  # another user's process, or it has exited meanwhile
        return False
