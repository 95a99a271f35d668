"""Nodes with many sockets: how soon they are there, what memory they take, and what they do when idle."""

import json
import signal
import time
from collections.abc import Mapping
from typing import Any

import psutil
import pytest

from tests.processes import answer, program
from tests.support import Program, seconds

FEW_FILES = ("sh", "-c", 'ulimit -Sn 1024; exec "$@"', "sh")
"""The limit that most systems begin with."""


def many(realm: str, count: int) -> Program:
    return Program(["-m", "tests.programs.many", json.dumps({"count": count})], realm=realm, prefix=FEW_FILES)


def start_many(realm: str, count: int) -> Mapping[str, float]:
    """Start a node with many publishers beside a subscriber that waits for them, and let each send."""
    with program("pattern", realm, count=count) as pattern:
        pattern.expect("waiting")
        with many(realm, count) as publishers:
            up = answer(publishers, "up", within=30)
            found = answer(pattern, "all", within=30)
            ready = answer(publishers, "ready", within=30)
            publishers.signal(signal.SIGUSR1)
            pattern.expect("complete")
            return {"up": up["up_s"], "found": found["at"] - up["began"], **ready}


def test_a_hundred_publishers_are_found_by_a_pattern_and_heard_by_it(realm: str) -> None:
    print(start_many(realm, 100))


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_a_thousand_publishers_are_up_and_found_within_three_seconds_of_60_kb_each(realm: str) -> None:
    tries: list[Mapping[str, Any]] = []
    for _ in range(3):
        tries.append(start_many(realm, 1000))
        print(tries[-1])
        if tries[-1]["found"] < seconds(3) and tries[-1]["bytes_each"] < 60_000:
            return
    pytest.fail(f"{tries}")


@pytest.mark.slow
def test_a_node_with_a_hundred_sockets_is_idle_when_nothing_is_sent(realm: str) -> None:
    shares: list[float] = []
    for _ in range(3):
        with program("pattern", realm, count=100) as pattern:
            pattern.expect("waiting")
            with many(realm, 100) as publishers:
                answer(publishers, "ready")
                publishers.signal(signal.SIGUSR1)
                pattern.expect("complete")
                processes = [psutil.Process(one.pid) for one in (publishers, pattern)]
                time.sleep(8)  # beacons follow messages after 1, 2 and 4 s; then every 10
                before = [sum(process.cpu_times()[:2]) for process in processes]
                time.sleep(10)
                used = [
                    sum(process.cpu_times()[:2]) - was for process, was in zip(processes, before, strict=True)
                ]
        shares.append(max(used) / 10)
        print(f"publishers and subscriber, seconds of 10: {used}")
        if shares[-1] < 0.005:
            return
    pytest.fail(f"shares of a core: {shares}")
