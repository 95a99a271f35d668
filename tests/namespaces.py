"""Hosts of a test's own: network namespaces joined by a bridge.

Nothing in them reaches the machine's real interfaces. They need root, iproute2 and nftables.
"""

import os
import re
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Self

import pytest

from tests.support import Program


def require_namespaces() -> None:
    """Skip the test where namespaces cannot be made; in CI that is a failure."""
    reason = ""
    if sys.platform != "linux" or shutil.which("ip") is None or shutil.which("nft") is None:
        reason = "needs Linux, iproute2 and nftables"
    elif os.geteuid() != 0:
        reason = "needs root, to make network namespaces"
    if reason and os.environ.get("COLUGO_CI"):
        pytest.fail(f"CI must be able to run this test: {reason}")
    if reason:
        pytest.skip(reason)


def ip(*arguments: str) -> str:
    """Run `ip` and return what it prints."""
    return subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True).stdout


class Host:
    """One namespace, with an address on the bridge.

    Args:
        name: of the namespace.
        address: its IPv4 address.
    """

    def __init__(self, name: str, address: str) -> None:
        self.name = name
        self.address = address

    def run(self, *command: str) -> str:
        """Run a command in it to its end."""
        return ip("netns", "exec", self.name, *command)

    def count_packets(self) -> None:
        """Begin to count the IPv4 packets that leave by its interface, but for IGMP's: the kernel
        repeats those at random times whenever any program has joined a group."""
        self.run("nft", "add table ip count")
        self.run("nft", "add chain ip count out { type filter hook output priority 0; }")
        self.run("nft", "add rule ip count out oifname eth0 ip protocol != igmp counter")

    def counted_packets(self) -> int:
        """How many packets have left since then."""
        found = re.search(r"packets (\d+)", self.run("nft", "list", "chain", "ip", "count", "out"))
        assert found is not None
        return int(found[1])

    def program(
        self,
        arguments: Iterable[str],
        *,
        realm: str,
        scope: str = "lan",
        env: Mapping[str, str] | None = None,
    ) -> Program:
        """Start a Python program in it."""
        return Program(
            arguments,
            realm=realm,
            env={"COLUGO_SCOPE": scope, **(env or {})},
            prefix=["ip", "netns", "exec", self.name],
        )


class Hosts:
    """Several hosts on one bridge, which is in a namespace of its own.

    Args:
        count: how many, at most 250.
    """

    def __init__(self, count: int) -> None:
        self._tag = f"cg{uuid.uuid4().hex[:6]}"
        self._bridge = f"{self._tag}br"
        self.hosts = [Host(f"{self._tag}h{number}", f"10.77.0.{number + 1}") for number in range(count)]

    def __enter__(self) -> list[Host]:
        try:
            self._make()
        except BaseException:
            self._remove()
            raise
        return self.hosts

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> Self | None:
        self._remove()
        return None

    def _make(self) -> None:
        ip("netns", "add", self._bridge)
        ip("-n", self._bridge, "link", "add", "br0", "type", "bridge", "mcast_snooping", "0")
        ip("-n", self._bridge, "link", "set", "br0", "up")
        for number, host in enumerate(self.hosts):
            ip("netns", "add", host.name)
            # without IPv6, no packet of its autoconfiguration is counted
            host.run(
                "sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1"
            )
            port = f"p{number}"
            ip(
                "-n",
                self._bridge,
                "link",
                "add",
                port,
                "type",
                "veth",
                "peer",
                "name",
                "eth0",
                "netns",
                host.name,
            )
            ip("-n", self._bridge, "link", "set", port, "master", "br0", "up")
            ip("-n", host.name, "address", "add", f"{host.address}/24", "dev", "eth0")
            ip("-n", host.name, "link", "set", "eth0", "up")
            ip("-n", host.name, "link", "set", "lo", "up")

    def _remove(self) -> None:
        for name in [*(host.name for host in self.hosts), self._bridge]:
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)
