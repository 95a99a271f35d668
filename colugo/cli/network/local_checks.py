"""Checks of this machine's network: multicast on each interface, port 5353, and expected hosts."""

import asyncio
from collections.abc import Sequence

from colugo.cli.network.connecting import neighbours
from colugo.cli.network.multicast import MulticastTrial, ask_directly, shared_port
from colugo.cli.network.port_5353 import holders
from colugo.cli.network.scope_interfaces import Interface, interfaces
from colugo.diagnosis.facts import Facts, HostFact, InterfaceFact
from colugo.net.addresses.interfaces import Scope, is_loopback
from colugo.net.mdns.query import mdns_addresses

_MOST_NEIGHBOURS = 32
_HOST_SCOPE = "the scope in force sends no packet to other machines"


async def check_surroundings(
    facts: Facts, scope: Scope, hosts: Sequence[str], seconds: float, *, thorough: bool
) -> None:
    """Add the findings of all checks to the facts.

    Args:
        facts: the facts to add to.
        scope: the scope whose interfaces to check.
        hosts: names or addresses of hosts that the user expects.
        seconds: how long to wait for answers.
        thorough: True to send packets; False to list the interfaces only.
    """
    found = interfaces(scope)
    if thorough:
        facts.port_holders = holders()
        try:
            shared_port().close()
        except OSError as error:
            facts.port_error = str(error)
    if not thorough or facts.port_error:
        facts.interfaces = [InterfaceFact(one.name, one.address, one.prefix, None) for one in found]
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


async def _try(one: Interface, scope: Scope, facts: Facts, seconds: float) -> InterfaceFact:
    # with IPv6, one address of an interface is enough to send from
    wanted = {address.partition("%")[0] for address in mdns_addresses(scope)}
    if one.address not in wanted:
        return InterfaceFact(one.name, one.address, one.prefix, None)
    return await MulticastTrial(one, facts.answered_from.add).run(seconds)


def _neighbours(found: list[Interface], scope: Scope) -> list[str]:
    """List the machines that this one has exchanged packets with on the interfaces in scope."""
    names = {one.name for one in found if not is_loopback(one.address)}
    known = neighbours().items()
    present = [address for address, (name, answered) in known if answered and name in names]
    return [address for address in present if address not in scope.addresses][:_MOST_NEIGHBOURS]
