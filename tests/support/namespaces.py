"""Hosts of a test's own: network namespaces joined by a bridge, if need be by test cables.

Nothing in them reaches the machine's real interfaces. They need root, iproute2 and nftables.
"""

import ctypes
import fcntl
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import pytest

from tests.support.cable import Cable, Cables, send_plain_frames
from tests.support.essentials import Program

_CLONE_NEWNET = 0x40000000  # sched.h
_SIOCSIFFLAGS = 0x8914  # sockios.h
_IFF_UP = 1  # netdevice(7)


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


def leave_for_own_network() -> bool:
    """Move this thread, and what it starts, into a network namespace that has nothing but loopback.

    Returns:
        Whether it could: elsewhere than on Linux, and without root, it stays where it is.
    """
    if sys.platform != "linux" or ctypes.CDLL(None).unshare(_CLONE_NEWNET):
        return False
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", _IFF_UP))
    return True


def ip(*arguments: str) -> str:
    """Run `ip` and return what it prints."""
    return _run("ip", *arguments)


def _run(*command: str, given: str | None = None) -> str:
    done = subprocess.run(command, check=False, input=given, capture_output=True, text=True)
    if done.returncode:
        # CalledProcessError does not show what the command said
        raise AssertionError(f"{' '.join(command)} ended with {done.returncode}: {done.stderr}{done.stdout}")
    return done.stdout


@dataclass
class Interface:
    """One interface of a host.

    Attributes:
        name: eth0, eth1 …; each leads to a network of its own.
        address: its IPv4 address.
        address6: its IPv6 address, if the hosts have any; there is a link-local one besides.
        far: the interface at its other end, in the namespace of the bridges.
        port: the one on the bridge: the same, unless a cable is between them.
        cable: that cable.
    """

    name: str
    address: str
    address6: str | None
    far: str
    port: str
    cable: Cable | None = None

    @property
    def addresses(self) -> list[str]:
        """With the lengths of their prefixes."""
        return [f"{self.address}/24", *([f"{self.address6}/64"] if self.address6 else [])]


class Host:
    """One namespace, with an address on each bridge.

    Args:
        name: of the namespace.
        bridges: the namespace of the bridges.
        interfaces: its interfaces.
    """

    def __init__(self, name: str, bridges: str, interfaces: list[Interface]) -> None:
        self.name = name
        self.interfaces = {interface.name: interface for interface in interfaces}
        self._bridges = bridges

    @property
    def address(self) -> str:
        """Its IPv4 address on the first bridge."""
        return self.interfaces["eth0"].address

    @property
    def cable(self) -> Cable:
        """Its cable to the first bridge."""
        return self.cable_of("eth0")

    def cable_of(self, interface: str) -> Cable:
        """Its cable to another one."""
        cable = self.interfaces[interface].cable
        assert cable is not None, "these hosts have no cables: Hosts(…, cabled=True)"
        return cable

    def run(self, *command: str) -> str:
        """Run a command in it to its end."""
        return ip("netns", "exec", self.name, *command)

    def link_down(self, interface: str = "eth0") -> None:
        """Switch an interface off; its IPv6 addresses are gone."""
        ip("-n", self.name, "link", "set", interface, "down")

    def link_up(self, interface: str = "eth0") -> None:
        """Switch it on again, with the addresses it had."""
        ip("-n", self.name, "link", "set", interface, "up")
        for address in self.interfaces[interface].addresses:
            ip("-n", self.name, "address", "replace", address, "dev", interface, "nodad")

    def unplug(self, interface: str = "eth0") -> None:
        """Take the carrier away: the interface is up, and its addresses stay."""
        ip("-n", self._bridges, "link", "set", self.interfaces[interface].far, "down")

    def plug(self, interface: str = "eth0") -> None:
        """Give it back."""
        ip("-n", self._bridges, "link", "set", self.interfaces[interface].far, "up")

    def change_address(self, address: str, interface: str = "eth0") -> None:
        """Have another IPv4 address instead, as DHCP may do."""
        one = self.interfaces[interface]
        ip("-n", self.name, "address", "delete", f"{one.address}/24", "dev", interface)
        one.address = address
        ip("-n", self.name, "address", "add", f"{address}/24", "dev", interface)

    def limit(self, rate: str, interface: str = "eth0") -> None:
        """Send and get no more than this: a token bucket (tc-tbf) with a queue of 400 ms each way.

        Args:
            rate: such as `"1mbit"`.
            interface: of this host.
        """
        far = self.interfaces[interface].far
        for namespace, device in ((self.name, interface), (self._bridges, far)):
            bucket = ("rate", rate, "burst", "10kb", "latency", "400ms")
            _run("tc", "-n", namespace, "qdisc", "replace", "dev", device, "root", "tbf", *bucket)

    def sent_packets(self, interface: str = "eth0") -> int:
        """How many packets have left by an interface since it was made, of any protocol."""
        return int(self.run("cat", f"/sys/class/net/{interface}/statistics/tx_packets"))

    def count_packets(self) -> None:
        """Begin to count the packets that leave by its interface, but for IGMP's and ICMPv6's.

        The kernel repeats those at random times whenever any program has joined a group.
        """
        self.run("nft", "add table inet count")
        self.run("nft", "add chain inet count out { type filter hook output priority 0; }")
        self.run("nft", "add rule inet count out oifname eth0 meta l4proto != { igmp, icmpv6 } counter")

    def counted_packets(self) -> int:
        """How many packets have left since then."""
        found = re.search(r"packets (\d+)", self.run("nft", "list", "chain", "inet", "count", "out"))
        assert found is not None
        return int(found[1])

    def program(
        self,
        arguments: Iterable[str],
        *,
        realm: str,
        scope: str = "lan",
        env: Mapping[str, str] | None = None,
        told: bool = False,
    ) -> Program:
        """Start a Python program in it."""
        return Program(
            arguments,
            realm=realm,
            env={"COLUGO_SCOPE": scope, **(env or {})},
            prefix=["ip", "netns", "exec", self.name],
            told=told,
        )


class Hosts:
    """Several hosts on one bridge, or on several: the bridges are in a namespace of their own.

    Args:
        count: how many, at most 250.
        cabled: whether there is a test cable between each interface and its bridge.
        ipv6: whether they have IPv6 addresses.
        interfaces: how many each has; the second ones are on a second bridge, and so on.
    """

    def __init__(self, count: int, *, cabled: bool = False, ipv6: bool = False, interfaces: int = 1) -> None:
        self._tag = f"cg{os.getpid()}-{uuid.uuid4().hex[:4]}"
        self._bridges = f"{self._tag}br"
        self._cabled = cabled
        self._ipv6 = ipv6
        self._networks = interfaces
        self._cables: Cables | None = None
        self.hosts = [self._host(number) for number in range(count)]

    def __enter__(self) -> list[Host]:
        remove_left_over()
        try:
            self._make()
        except BaseException:
            self._remove()
            raise
        return self.hosts

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None and self._cables is not None:
            print(f"the test cables' seed was {self._cables.seed}")
        self._remove()

    def _host(self, number: int) -> Host:
        interfaces = []
        for network in range(self._networks):
            far = f"h{number}n{network}"
            interfaces.append(
                Interface(
                    f"eth{network}",
                    f"10.77.{network}.{number + 1}",
                    f"fd77:0:0:{network}::{number + 1}" if self._ipv6 else None,
                    far,
                    f"{far}b" if self._cabled else far,
                )
            )
        return Host(f"{self._tag}h{number}", self._bridges, interfaces)

    def _make(self) -> None:
        ip("netns", "add", self._bridges)
        _set_ipv6(self._bridges, on=False)
        commands = [
            f"link add br{network} up type bridge mcast_snooping 0" for network in range(self._networks)
        ]
        for host in self.hosts:
            ip("netns", "add", host.name)
            _set_ipv6(host.name, on=self._ipv6)
            for interface in host.interfaces.values():
                commands += self._wiring(host, interface)
        _run("ip", "-n", self._bridges, "-batch", "-", given="\n".join(commands))
        for host in self.hosts:
            _run("ip", "-n", host.name, "-batch", "-", given="\n".join(_configuration(host)))
        if self._cabled:
            self._lay_cables()

    def _wiring(self, host: Host, interface: Interface) -> list[str]:
        far, port = interface.far, interface.port
        commands = [f"link add {far} type veth peer name {interface.name} netns {host.name}"]
        if self._cabled:
            between = f"{far}c"
            commands += [f"link add {between} type veth peer name {port}", f"link set {between} up"]
        network = interface.name.removeprefix("eth")
        return [*commands, f"link set {far} up", f"link set {port} master br{network} up"]

    def _lay_cables(self) -> None:
        interfaces = [one for host in self.hosts for one in host.interfaces.values()]
        for host in self.hosts:
            send_plain_frames(host.name, *host.interfaces)
        send_plain_frames(self._bridges, *(one.port for one in interfaces))
        self._cables = Cables(self._bridges, [(one.far, f"{one.far}c") for one in interfaces])
        for number, interface in enumerate(interfaces):
            interface.cable = Cable(self._cables, number)

    def _remove(self) -> None:
        if self._cables is not None:
            self._cables.close()
        for name in [*(host.name for host in self.hosts), self._bridges]:
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)


def _set_ipv6(namespace: str, *, on: bool) -> None:
    """Without IPv6, no packet of its autoconfiguration is counted; with it, addresses are of use at once."""
    settings = ["accept_dad=0", "dad_transmits=0"] if on else ["disable_ipv6=1"]
    values = [f"net.ipv6.conf.{which}.{setting}" for which in ("all", "default") for setting in settings]
    ip("netns", "exec", namespace, "sysctl", "-qw", *values)


def _configuration(host: Host) -> list[str]:
    commands = ["link set lo up"]
    for interface in host.interfaces.values():
        commands.append(f"link set {interface.name} up")
        commands += [f"address add {address} dev {interface.name}" for address in interface.addresses]
    return commands


def remove_left_over() -> None:
    """Remove the namespaces of test runs that were killed."""
    for line in ip("netns", "list").splitlines():
        name = line.split()[0]
        made_by = re.match(r"cg(\d+)-", name)
        if made_by is not None and not Path(f"/proc/{made_by[1]}").exists():
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)
