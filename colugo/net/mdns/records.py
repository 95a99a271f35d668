"""Conversion between advertisements and DNS-SD instances of `_colugo._tcp`."""

from ipaddress import ip_address

from zeroconf import DNSAddress, DNSCache, DNSService, ServiceInfo

from colugo.errors import AdvertisementError
from colugo.net.mdns.query import SERVICE_TYPE
from colugo.protocol.advertisement import Advertisement, from_txt, instance_label, to_txt


def instance_name(advertisement: Advertisement) -> str:
    """Return the name of an advertisement's instance."""
    return f"{instance_label(advertisement)}.{SERVICE_TYPE}"


def service_info(advertisement: Advertisement) -> ServiceInfo:
    """Return the records of an advertisement."""
    return ServiceInfo(
        SERVICE_TYPE,
        instance_name(advertisement),
        port=advertisement.port,
        parsed_addresses=list(advertisement.addresses),
        properties=to_txt(advertisement),
        server=f"colugo-{advertisement.node_id.hex()[:12]}.local.",
    )


def read_records(info: ServiceInfo, cache: DNSCache) -> Advertisement:
    """Return the advertisement in records from a cache.

    Replaced addresses stay in the cache for a while, with a TTL of one second (RFC 6762 §10.2) that each
    announcement renews.

    Raises:
        AdvertisementError: if this version of colugo does not understand them.
    """
    replaced = {
        record.address
        for record in cache.async_entries_with_name(info.server or "")
        if isinstance(record, DNSAddress) and record.ttl <= 1
    }
    addresses = info.parsed_addresses()
    valid = [one for one in addresses if ip_address(one).packed not in replaced]
    try:
        # decoded_properties would replace invalid UTF-8
        txt = {key.decode(): value.decode() if value else None for key, value in info.properties.items()}
    except UnicodeDecodeError as error:
        raise AdvertisementError(str(error)) from error
    return from_txt(txt, tuple(valid or addresses), info.port)


def forget_records(name: str, cache: DNSCache) -> None:
    """Remove an instance from a cache; otherwise it could not come up again within its TTL."""
    records = list(cache.async_entries_with_name(name))
    pointer = cache.current_entry_with_name_and_alias(SERVICE_TYPE, name)
    cache.async_remove_records([*records, *([pointer] if pointer else [])])
    for server in {record.server for record in records if isinstance(record, DNSService)}:
        if not cache.async_entries_with_server(server):  # this was its last instance
            cache.async_remove_records(list(cache.async_entries_with_name(server)))
