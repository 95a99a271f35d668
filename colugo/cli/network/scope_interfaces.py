"""The addresses of a scope, with their interfaces and networks."""

from dataclasses import dataclass

import ifaddr

from colugo.net.addresses.interfaces import Scope


@dataclass(frozen=True, slots=True)
class Interface:
    """One address of this machine.

    Attributes:
        name: the interface's name.
        index: the interface's index.
        address: the address, without a zone.
        prefix: the length of the network prefix in bits.
    """

    name: str
    index: int
    address: str
    prefix: int


def interfaces(scope: Scope) -> list[Interface]:
    """List the interfaces in a scope, one entry for each address."""
    wanted = {address.partition("%")[0]: address for address in scope.addresses}
    found = [
        Interface(
            adapter.nice_name,
            adapter.index or 0,
            ip.ip if isinstance(ip.ip, str) else ip.ip[0],
            ip.network_prefix,
        )
        for adapter in ifaddr.get_adapters()
        for ip in adapter.ips
    ]
    order = list(wanted)
    return sorted((one for one in found if one.address in wanted), key=lambda one: order.index(one.address))
