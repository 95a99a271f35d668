"""The benchmarks: their statistics, their rounds, and short runs as processes."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.essentials import Program, seconds
from tools.bench.processes import Child, NoAnswerError
from tools.bench.results import Goal, met
from tools.bench.rounds import RoundFailedError, interleave
from tools.bench.runner import Figure, Measurement, Scenario
from tools.bench.runner import run as run_scenarios
from tools.bench.statistics import percentile, summarize

_VALUES = st.lists(st.floats(0, 1e6), min_size=1, max_size=300)


def test_the_summary_of_1_to_100_is_known() -> None:
    summary = summarize([float(n) for n in range(100, 0, -1)])
    assert summary is not None
    assert (summary.count, summary.minimum, summary.maximum) == (100, 1, 100)
    assert (summary.p50, summary.p99) == (50, 99)


def test_there_is_no_summary_of_nothing() -> None:
    assert summarize([]) is None


def test_a_percentile_of_nothing_is_an_error() -> None:
    with pytest.raises(ValueError, match="no values"):
        percentile([], 50)


@pytest.mark.parametrize("percent", [-1, 0, 100.5])
def test_a_percentile_out_of_range_is_an_error(percent: float) -> None:
    with pytest.raises(ValueError, match="at most 100"):
        percentile([1.0], percent)


@given(_VALUES, st.floats(0.1, 100))
def test_a_percentile_is_the_least_value_that_so_many_do_not_exceed(
    values: list[float], percent: float
) -> None:
    found = percentile(values, percent)
    wanted = len(values) * percent / 100
    assert found in values
    assert sum(value <= found for value in values) >= wanted
    assert sum(value < found for value in values) < wanted


@given(_VALUES)
def test_a_summary_is_in_order(values: list[float]) -> None:
    summary = summarize(values)
    assert summary is not None
    assert summary.minimum <= summary.p50 <= summary.p99 <= summary.maximum


def test_rounds_take_turns_and_every_second_one_goes_backwards() -> None:
    calls: list[tuple[str, int]] = []

    def measure(library: str, number: int) -> tuple[float, float]:
        calls.append((library, number))
        return number, 10 * number

    done: list[None] = []
    samples = interleave(
        {"a": lambda number: measure("a", number), "b": lambda number: measure("b", number)},
        2,
        3,
        lambda: done.append(None),
    )
    assert calls == [("a", 0), ("b", 0), ("b", 1), ("a", 1), ("a", 2), ("b", 2)]
    assert len(done) == 6
    for library in ("a", "b"):
        assert [its.values for its in samples[library]] == [[0, 1, 2], [0, 10, 20]]


def test_a_failed_round_is_counted_with_its_reason_and_its_loss() -> None:
    def measure(number: int) -> tuple[float]:
        if number == 1:
            raise RoundFailedError("3 of 7 messages lost", lost=3)
        return (1.5,)

    (samples,) = interleave({"a": measure}, 1, 3, lambda: None)["a"]
    assert samples.rounds == 3
    assert samples.values == [1.5, 1.5]
    assert samples.failures == ["round 2: 3 of 7 messages lost"]
    assert samples.lost == 3


class _Faulty:
    def __init__(self, library: str, port: int) -> None:
        assert 0 < port < 65536
        if library == "nats":
            raise NoAnswerError("a process ended without 'ready'")
        self.library = library

    def prepare(self) -> None:
        if self.library == "pyzmq":
            raise RoundFailedError("1 of 9 messages lost", lost=1)

    def measure(self, number: int) -> tuple[float]:
        if number == 0:
            raise RoundFailedError("silence")
        return (2.0,)

    def close(self) -> None:
        raise NoAnswerError("a process ended with status 3")


def test_what_goes_wrong_is_told_beside_what_was_measured() -> None:
    goal = Goal("p50", "most", 5)
    measurement: Measurement[_Faulty] = Measurement(
        "start",
        lambda faulty, number: faulty.measure(number),
        [Figure(goals={"colugo": (goal,)})],
        lambda faulty: faulty.prepare(),
    )
    outcome = run_scenarios([Scenario(["colugo", "pyzmq", "zenoh", "nats"], _Faulty, [measurement])], 2)
    assert [(row.library, row.samples.values, met(row, outcome.rows)) for row in outcome.rows] == [
        ("colugo", [2.0], False),
        ("pyzmq", [], None),
        ("zenoh", [2.0], None),
    ]
    assert [row.samples.lost for row in outcome.rows] == [0, 1, 0]
    assert outcome.problems == [
        "start, nats, at the start: a process ended without 'ready'",
        "start, colugo, round 1: silence",
        "start, pyzmq, before the rounds: 1 of 9 messages lost",
        "start, zenoh, round 1: silence",
        "start, colugo, at the end: a process ended with status 3",
        "start, pyzmq, at the end: a process ended with status 3",
        "start, zenoh, at the end: a process ended with status 3",
    ]


def test_a_process_that_fails_is_reported_with_its_last_words() -> None:
    with (
        pytest.raises(NoAnswerError, match=r"ended without 'ready'.*KeyError: 'nobody'"),
        Child("tools.bench.discovery_roles", "nobody", "colugo", '{"port": 1}') as child,
    ):
        child.expect("ready", within=seconds(15))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        ("discovery --rounds 2 --peers colugo", ["new socket", "new process"]),
        ("pubsub --rounds 1 --seconds 0.05 --peers pyzmq --transport tcp", ["64 B tcp", "1 MiB tcp"]),
        ("requests --rounds 1 --seconds 0.05 --peers pyzmq", ["1 in flight", "1000 in flight"]),
        ("latency --rounds 1 --seconds 0.1 --peers pyzmq-asyncio", ["64 B, p50", "64 B, p99"]),
        ("dispatch --rounds 1 --seconds 0.1 --peers colugo", ["bursts of 100", "bursts of 5000"]),
        ("streams --rounds 1 --seconds 0.1 --peers colugo", ["disk 100", "disk flood", "RAM flood"]),
        ("idle --rounds 1 --seconds 0.1 --peers colugo", ["100 sockets"]),
    ],
    ids=["discovery", "pubsub", "requests", "latency", "dispatch", "streams", "idle"],
)
def test_a_short_run_ends_well_and_prints_and_writes_its_results(
    arguments: str, names: list[str], realm: str, tmp_path: Path
) -> None:
    file = tmp_path / "results.json"
    with Program(["-m", "tools.bench", *arguments.split(), "--json", str(file)], realm=realm) as program:
        status = program.wait(within=50)
    output = "\n".join(program.lines)
    assert status == 0, output
    for name in names:
        assert any(line.strip().startswith(f"{name} ") for line in program.lines), output
    rows = json.loads(file.read_text(encoding="utf-8"))["rows"]
    assert rows
    assert all(value > 0 for row in rows for value in row["samples"]["values"])
    assert all(row["samples"]["lost"] == 0 for row in rows)
    if "pyzmq" in arguments:
        assert all(row["ratio"] > 0 for row in rows)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ("report .", "no results in .; to make some: python -m tools.bench all"),
        ("pubsub --peers carrier-pigeon", "'carrier-pigeon' is not one of 'colugo'"),
        ("pubsub --size 3", "'3' is not one of '64 B'"),
    ],
    ids=["no results", "no such peer", "no such size"],
)
def test_what_cannot_be_done_is_said(arguments: str, complaint: str, realm: str) -> None:
    with Program(["-m", "tools.bench", *arguments.split()], realm=realm) as program:
        assert program.wait() != 0
    assert complaint in "\n".join(program.lines)
