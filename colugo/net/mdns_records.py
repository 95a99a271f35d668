"""Advertisements as DNS-SD records, and what a host's records say of it now."""

import socket

from zeroconf import DNSAddress, ServiceInfo, Zeroconf

from colugo.net.mdns_query import SERVICE_TYPE
from colugo.protocol.advertisement import Advertisement, instance_label, to_txt

_V4_BYTES = 4


def instance_name(advertisement: Advertisement) -> str:
    """The DNS-SD instance of a socket."""
    return f"{instance_label(advertisement)}.{SERVICE_TYPE}"


def service_info(advertisement: Advertisement) -> ServiceInfo:
    """The records of a socket."""
    return ServiceInfo(
        SERVICE_TYPE,
        instance_name(advertisement),
        port=advertisement.port,
        parsed_addresses=list(advertisement.addresses),
        properties=to_txt(advertisement),
        server=f"colugo-{advertisement.node_id.hex()[:12]}.local.",
    )


def current_addresses(zeroconf: Zeroconf, info: ServiceInfo) -> tuple[str, ...]:
    """Where a socket is, without the addresses that its host has no more.

    Those are in the cache for one second yet after the new ones have come (RFC 6762 §10.2).

    Args:
        zeroconf: whose cache.
        info: the socket, resolved.
    """
    addresses = info.parsed_addresses()
    flushed = {
        _text(record.address)
        for record in zeroconf.cache.async_entries_with_name(info.server or "")
        if isinstance(record, DNSAddress) and record.ttl <= 1
    }
    return tuple(address for address in addresses if address not in flushed) or tuple(addresses)


def _text(address: bytes) -> str:
    return socket.inet_ntop(socket.AF_INET if len(address) == _V4_BYTES else socket.AF_INET6, address)
