"""Network namespaces for a soak; they need root, iproute2 and nftables.

In a module of its own, because it imports the tests' helpers.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

from tests.support.namespaces import Hosts
from tools.soak.places import HOSTS, Cable, Place


@contextmanager
def own_hosts() -> Iterator[list[Place]]:
    """Create hosts with a cable each; the first is for producers."""
    with Hosts(HOSTS, cabled=True) as hosts:
        yield [
            Place(
                f"host{number}",
                host.address,
                ["ip", "netns", "exec", host.name],
                {"COLUGO_SCOPE": "lan"},
                cast("Cable", host.cable),
            )
            for number, host in enumerate(hosts)
        ]
