"""Which of a peer's addresses to connect to."""

import ipaddress

from colugo.net.interfaces import Scope
from colugo.protocol.advertisement import Advertisement, endpoint

_NEAR_PREFIX = {4: 24, 6: 64}


def choose_endpoint(advertisement: Advertisement, scope: Scope, host_id: str) -> str | None:
    """The endpoint that is most likely reachable, or None if the advertisement has no address.

    Of a peer on this host, an address that is ours too; of any other, one that shares its first bits
    (24, of IPv6 64) with one of ours and is not ours: many hosts have the same address on a bridge of
    their own, such as Docker's.

    Args:
        advertisement: the peer.
        scope: our addresses.
        host_id: our host.
    """
    if not advertisement.addresses:
        return None
    own = set(scope.addresses)
    near = {_network(address) for address in own}
    same_host = bool(host_id) and advertisement.host_id == host_id

    def distance(address: str) -> int:
        if address in own or ipaddress.ip_address(address).is_loopback:
            return 0 if same_host and address in own else 3
        return 1 if _network(address) in near else 2

    return endpoint(min(advertisement.addresses, key=distance), advertisement.port)


def _network(address: str) -> str:
    prefix = _NEAR_PREFIX[ipaddress.ip_address(address).version]
    return str(ipaddress.ip_network((address, prefix), strict=False))
