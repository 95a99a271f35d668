"""How discovery grows with the network: time, mDNS packets and CPU of 10, 50 and 200 nodes of 5 sockets."""

import json
import re
import time
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

import pytest

from tests.support.essentials import Program
from tests.support.namespaces import Host, Hosts, require_namespaces
from tests.support.peers import timely

SOCKETS = 5
PROCESSES = 8
IDLE_S = 20.0
ALL_FOUND_S = 10.0


def count_mdns(host: Host) -> None:
    """Start counting outgoing mDNS packets and bytes, headers included."""
    host.run("nft", "add table inet count")
    host.run("nft", "add chain inet count out { type filter hook output priority 0; }")
    host.run("nft", "add rule inet count out oifname eth0 udp dport 5353 counter")
    host.run("nft", "add rule inet count out oifname eth0 udp sport 5353 udp dport != 5353 counter")


def counted(hosts: list[Host]) -> dict[str, int]:
    """Return the traffic that all hosts have sent since the count began."""
    found = [
        re.findall(r"packets (\d+) bytes (\d+)", host.run("nft", "list", "chain", "inet", "count", "out"))
        for host in hosts
    ]
    sums = [[sum(int(one[rule][what]) for one in found) for what in (0, 1)] for rule in (0, 1)]
    return {"multicast": sums[0][0], "unicast": sums[1][0], "bytes": sums[0][1] + sums[1][1]}


class Village:
    """This many nodes in eight processes, each on its own host."""

    def __init__(self, hosts: list[Host], nodes: int, realm: str, stack: ExitStack) -> None:
        self.hosts = hosts
        self.nodes = nodes
        shares = [nodes // PROCESSES + (number < nodes % PROCESSES) for number in range(PROCESSES)]
        self.programs = []
        for number, (host, share) in enumerate(zip(hosts, shares, strict=True)):
            options = {"nodes": share, "sockets": SOCKETS, "all": nodes, "prefix": f"n{number}x"}
            program = host.program(
                ["-m", "tests.programs.village", json.dumps(options)], realm=realm, told=True
            )
            self.programs.append(stack.enter_context(program))
        for program in self.programs:
            heard(program, "waiting")

    def grow(self) -> dict[str, float]:
        """Start, measure until all nodes know each other, and measure again afterwards."""
        for host in self.hosts:
            count_mdns(host)
        for program in self.programs:
            program.tell("begin")
        began = [heard(program, "begins") for program in self.programs]
        complete = [heard(program, "complete", 90) for program in self.programs]
        first = min(one["t"] for one in began)
        time.sleep(3)  # until the announcements have been repeated
        joined = counted(self.hosts)
        spent = self.spent()
        time.sleep(IDLE_S)
        idle = counted(self.hosts)
        at_rest = self.spent()
        return {
            "nodes": self.nodes,
            "all_known_s": max(one["t"] for one in complete) - first,
            "multicast": joined["multicast"] / self.nodes,
            "unicast": joined["unicast"] / self.nodes,
            "kilobytes": joined["bytes"] / self.nodes / 1000,
            "join_cpu_ms": 1000 * (spent - sum(one["cpu"] for one in began)) / self.nodes,
            "idle_packets_per_s": sum(idle[one] - joined[one] for one in ("multicast", "unicast")) / IDLE_S,
            "idle_cpu_percent": 100 * (at_rest - spent) / IDLE_S / self.nodes,
        }

    def spent(self) -> float:
        """Return the CPU time of all processes, in seconds."""
        for program in self.programs:
            program.tell("spent?")
        return float(sum(heard(program, "spent")["cpu"] for program in self.programs))


def heard(program: Program, event: str, within: float = 30.0) -> Mapping[str, Any]:
    line = program.expect(f"{event} {{", within)
    found: Mapping[str, Any] = json.loads(line[line.index("{") :])
    return found


@pytest.mark.slow
@pytest.mark.measures
@pytest.mark.timeout(240)
@pytest.mark.parametrize("nodes", [10, 50, pytest.param(200, marks=pytest.mark.alone)])
def test_all_nodes_of_a_growing_network_know_each_other_within_ten_seconds(nodes: int, realm: str) -> None:
    require_namespaces()
    with Hosts(PROCESSES) as hosts, ExitStack() as stack:
        figures = Village(hosts, nodes, realm, stack).grow()
    print({name: round(value, 2) for name, value in figures.items()})
    assert timely(figures["all_known_s"], ALL_FOUND_S)
