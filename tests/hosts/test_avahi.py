"""Beside avahi-daemon on the same host, which shares port 5353, avahi's tools show the sockets."""

import pytest

from tests.support.avahi import avahi_on, require_avahi
from tests.support.essentials import wait_until
from tests.support.namespaces import Hosts, require_namespaces
from tests.support.peers import FROM, meshed


@pytest.mark.slow
@pytest.mark.parametrize("ipv6", [False, True])
def test_avahi_on_the_same_host_shows_the_sockets_with_topic_and_addresses(ipv6: bool) -> None:  # noqa: FBT001
    require_namespaces()
    require_avahi()
    with Hosts(2, ipv6=ipv6) as hosts, avahi_on(hosts[0]) as avahi, meshed(hosts) as peers:
        sockets = {(f'"t={FROM}.{peer.name}"', peer.host.address) for peer in peers}
        shown: list[list[str]] = []

        def shows_all() -> bool:
            shown[:] = avahi.browse()
            seen = {(text, line[7]) for line in shown for text in line[9].split()}
            return sockets <= seen

        assert wait_until(shows_all, 20), shown
        for peer in peers:
            peer.send(20)
            peer.ask(20)
        for peer in peers:
            for other in peers:
                peer.wait("heard", peer=other.name)
            peer.wait("answered")
