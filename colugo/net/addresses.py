"""Which of a peer's addresses to connect to."""

import ipaddress

from colugo.net.interfaces import Scope
from colugo.protocol.advertisement import Advertisement, endpoint

_NEAR_PREFIX = 24


def choose_endpoint(advertisement: Advertisement, scope: Scope) -> str | None:
    """The endpoint that is most likely reachable, or None if the advertisement has no address.

    One of this host's own addresses is best, then one that shares its first 24 bits with one of ours.
    """
    if not advertisement.addresses:
        return None
    own = set(scope.addresses)
    near = {_network(address) for address in own}

    def distance(address: str) -> int:
        if address in own:
            return 0
        return 1 if _network(address) in near else 2

    best = min(advertisement.addresses, key=distance)
    return endpoint(best, advertisement.port)


def _network(address: str) -> str:
    prefix = _NEAR_PREFIX if ipaddress.ip_address(address).version == 4 else 64  # noqa: PLR2004
    return str(ipaddress.ip_network((address, prefix), strict=False))
