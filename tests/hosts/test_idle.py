"""The work of idle nodes: hardly any."""

import json
import signal
import time

import psutil
import pytest

from tests.support.essentials import seconds
from tests.support.namespaces import Hosts, require_namespaces
from tests.support.processes import answer

COUNT = 100
SHARE = 0.005
SETTLED_S = 8
"""Beacons follow the last message after 1, 2 and 4 s; then after 8, and then every 10."""


def cpu_s(pid: int) -> float:
    """Return the processor time that a process has used so far."""
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


@pytest.mark.slow
@pytest.mark.measures
@pytest.mark.timeout(120)
def test_a_node_with_a_hundred_sockets_is_idle_when_nothing_is_sent(realm: str) -> None:
    # in a network of its own: elsewhere it hears all mDNS of this machine
    require_namespaces()
    options = json.dumps({"count": COUNT})
    with (
        Hosts(1) as (host,),
        host.program(["-m", "tests.programs.pattern", options], realm=realm, scope="host") as pattern,
        host.program(["-m", "tests.programs.many", options], realm=realm, scope="host") as many,
    ):
        answer(many, "ready")
        many.signal(signal.SIGUSR1)
        pattern.expect("complete")
        time.sleep(SETTLED_S)
        pids = (many.pid, pattern.pid)
        used = []
        for _ in range(3):
            before = [cpu_s(pid) for pid in pids]
            time.sleep(10)
            used.append([cpu_s(pid) - was for pid, was in zip(pids, before, strict=True)])
            if max(used[-1]) < seconds(10 * SHARE):
                break
    print(f"publishers and subscriber, seconds of 10: {used}")
    assert max(used[-1]) < seconds(10 * SHARE)
