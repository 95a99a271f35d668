"""Nodes with many sockets: how soon they are there, what memory they take, and what they do when idle."""

import json
import signal
from collections.abc import Mapping
from typing import Any

import pytest

from tests.support.essentials import Program, seconds
from tests.support.processes import answer, program

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
@pytest.mark.measures
@pytest.mark.timeout(200)
def test_a_thousand_publishers_are_up_and_found_within_three_seconds_of_60_kb_each(realm: str) -> None:
    tries: list[Mapping[str, Any]] = []
    for _ in range(3):
        tries.append(start_many(realm, 1000))
        print(tries[-1])
        if tries[-1]["found"] < seconds(3) and tries[-1]["bytes_each"] < 60 * 1024:
            return
    pytest.fail(f"{tries}")
