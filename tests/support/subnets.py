"""Two subnets of a test's own, with mDNS inside each and only a router between them."""

import subprocess
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from tests.support.essentials import Program
from tests.support.namespaces import ip

_NO_IPV6 = ["sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1"]


@dataclass(frozen=True)
class SubnetHost:
    """A host with one interface.

    Attributes:
        name: of its namespace.
        address: its IPv4 address.
    """

    name: str
    address: str

    def program(
        self, arguments: Iterable[str], *, realm: str, env: Mapping[str, str] | None = None
    ) -> Program:
        """Start a Python program in it."""
        return Program(
            arguments,
            realm=realm,
            env={"COLUGO_SCOPE": "lan", **(env or {})},
            prefix=["ip", "netns", "exec", self.name],
        )


class Subnets:
    """Hosts on two bridges, joined by a router that forwards what is addressed, and no multicast.

    Args:
        count: hosts on each.
    """

    def __init__(self, count: int) -> None:
        self._tag = f"cs{uuid.uuid4().hex[:6]}"
        self._router = f"{self._tag}r"
        self._bridges = [f"{self._tag}b{net}" for net in range(2)]
        self.hosts = [
            [
                SubnetHost(f"{self._tag}n{net}h{number}", f"10.78.{net}.{number + 1}")
                for number in range(count)
            ]
            for net in range(2)
        ]
        """Those of the first subnet, and those of the second."""

    def __enter__(self) -> Self:
        try:
            self._make()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._remove()

    def cut(self) -> None:
        """Take down the router's leg in the second subnet."""
        ip("-n", self._router, "link", "set", "leg1", "down")

    def join(self) -> None:
        """Bring it up again."""
        ip("-n", self._router, "link", "set", "leg1", "up")

    def _make(self) -> None:
        ip("netns", "add", self._router)
        ip("netns", "exec", self._router, *_NO_IPV6, "net.ipv4.ip_forward=1")
        for net, bridge in enumerate(self._bridges):
            ip("netns", "add", bridge)
            ip("-n", bridge, "link", "add", "br0", "type", "bridge", "mcast_snooping", "0")
            ip("-n", bridge, "link", "set", "br0", "up")
            self._plug(bridge, "r", self._router, f"leg{net}", f"10.78.{net}.254")
            for number, host in enumerate(self.hosts[net]):
                ip("netns", "add", host.name)
                ip("netns", "exec", host.name, *_NO_IPV6)
                self._plug(bridge, f"h{number}", host.name, "eth0", host.address)
                ip("-n", host.name, "link", "set", "lo", "up")
                ip("-n", host.name, "route", "add", "default", "via", f"10.78.{net}.254")

    def _plug(self, bridge: str, port: str, namespace: str, interface: str, address: str) -> None:
        peer = ["peer", "name", interface, "netns", namespace]
        ip("-n", bridge, "link", "add", port, "type", "veth", *peer)
        ip("-n", bridge, "link", "set", port, "master", "br0", "up")
        ip("-n", namespace, "address", "add", f"{address}/24", "dev", interface)
        ip("-n", namespace, "link", "set", interface, "up")

    def _remove(self) -> None:
        names = [host.name for hosts in self.hosts for host in hosts]
        for name in [*names, *self._bridges, self._router]:
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)
