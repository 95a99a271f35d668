"""The benchmarks: their statistics, their report, and a short run as a process."""

import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from tests.support import Program, seconds
from tools.bench.processes import Child, NoAnswerError
from tools.bench.report import Goal, Row, as_table, ratio, write_json
from tools.bench.rounds import RoundFailedError, Samples, interleave
from tools.bench.runner import Scenario
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

    def measure(library: str, number: int) -> float:
        calls.append((library, number))
        return number

    done: list[None] = []
    samples = interleave(
        {"a": lambda number: measure("a", number), "b": lambda number: measure("b", number)},
        3,
        lambda: done.append(None),
    )
    assert calls == [("a", 0), ("b", 0), ("b", 1), ("a", 1), ("a", 2), ("b", 2)]
    assert len(done) == 6
    assert samples["a"].values == samples["b"].values == [0, 1, 2]


def test_a_failed_round_is_counted_with_its_reason() -> None:
    def measure(number: int) -> float:
        if number == 1:
            raise RoundFailedError("silence")
        return 1.5

    samples = interleave({"a": measure}, 3, lambda: None)["a"]
    assert samples.rounds == 3
    assert samples.values == [1.5, 1.5]
    assert samples.failures == ["round 2: silence"]


def test_what_goes_wrong_is_told_beside_what_was_measured() -> None:
    class Faulty:
        def __init__(self, library: str, network: int) -> None:
            assert 0 < network < 65536

        def measure(self, number: int) -> float:
            if number == 0:
                raise RoundFailedError("silence")
            return 2.0

        def close(self) -> None:
            raise NoAnswerError("a process ended with status 3")

    outcome = run_scenarios([Scenario("start", Faulty, Goal(p50_ms=5))], ["colugo", "zenoh"], 2)
    assert [(row.library, row.samples.values, row.met) for row in outcome.rows] == [
        ("colugo", [2.0], False),
        ("zenoh", [2.0], None),
    ]
    assert outcome.problems == [
        "start, colugo, at the end: a process ended with status 3",
        "start, zenoh, at the end: a process ended with status 3",
        "start, colugo, round 1: silence",
        "start, zenoh, round 1: silence",
    ]


@pytest.mark.parametrize(
    ("samples", "met"),
    [
        (Samples([1, 2, 3]), True),
        (Samples([1, 2, 9]), False),
        (Samples([1, 4, 5]), False),
        (Samples([1, 2, 3], ["round 4: silence"]), False),
        (Samples([], ["round 1: silence"]), False),
    ],
    ids=["both kept", "p99 missed", "p50 missed", "a round failed", "all rounds failed"],
)
def test_a_goal_is_met_if_all_limits_are_kept_and_no_round_failed(
    samples: Samples,
    met: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    assert Row("start", "colugo", samples, Goal(p50_ms=2, p99_ms=5)).met is met


def test_without_a_goal_nothing_is_met_or_missed() -> None:
    assert Row("start", "zenoh", Samples([1])).met is None


def test_a_ratio_compares_medians_of_the_same_measurement() -> None:
    rows = [
        Row("start", "colugo", Samples([3])),
        Row("start", "zenoh", Samples([2])),
        Row("other", "zenoh", Samples([1])),
    ]
    assert ratio(rows[0], rows, "zenoh") == 1.5
    assert ratio(rows[0], rows[:1], "zenoh") is None
    assert ratio(Row("start", "colugo", Samples([], ["silence"])), rows, "zenoh") is None


def test_the_table_shows_figures_failures_and_goals_within_80_columns() -> None:
    rows = [
        Row("new process", "colugo", Samples([4.0, 6.0], ["round 3: silence"]), Goal(p50_ms=15, p99_ms=200)),
        Row("new process", "zenoh", Samples([8.0])),
        Row("new socket", "colugo", Samples([], ["round 1: silence"]), Goal(p50_ms=10)),
    ]
    console = Console(width=80, file=io.StringIO(), record=True)
    console.print(as_table("discovery", rows, reference="zenoh"))
    lines = [" ".join(line.split()) for line in console.export_text().splitlines()]
    assert "new process colugo 3 1 4.0 4.0 6.0 6.0 p50 ≤ 15, no 0.50x" in lines
    assert "new process zenoh 1 0 8.0 8.0 8.0 8.0 1.00x" in lines
    assert "new socket colugo 1 1 - - - - p50 ≤ 10 no -" in lines


def test_the_json_file_holds_each_value_and_failure(tmp_path: Path) -> None:
    file = tmp_path / "result.json"
    row = Row("new socket", "colugo", Samples([2.0, 1.0], ["round 3: silence"]), Goal(p50_ms=10))
    write_json(file, "discovery", {"colugo": "1.2"}, [row], reference="zenoh")
    content = json.loads(file.read_text(encoding="utf-8"))
    assert content["benchmark"] == "discovery"
    assert content["versions"] == {"colugo": "1.2"}
    (found,) = content["rows"]
    assert found["values"] == [2.0, 1.0]
    assert found["failures"] == ["round 3: silence"]
    assert found["summary"]["p50"] == 1.0
    assert found["met"] is False
    assert found["ratio_to_zenoh"] is None


def test_a_process_that_fails_is_reported_with_its_last_words() -> None:
    with (
        pytest.raises(NoAnswerError, match=r"ended without 'ready'.*KeyError: 'nobody'"),
        Child("tools.bench.discovery_roles", "nobody", "colugo", "1") as child,
    ):
        child.expect("ready", within=seconds(15))


def test_two_rounds_of_discovery_end_well_and_print_the_table(realm: str, tmp_path: Path) -> None:
    file = tmp_path / "discovery.json"
    arguments = ["-m", "tools.bench", "discovery", "--rounds", "2", "--json", str(file)]
    with Program(arguments, realm=realm) as program:
        status = program.wait(within=50)
    output = "\n".join(program.lines)
    assert status == 0, output
    table = [" ".join(line.split()) for line in program.lines]
    for name in ("new socket", "new process"):
        assert any(line.startswith(f"{name} colugo 2 0 ") for line in table), output
    rows = json.loads(file.read_text(encoding="utf-8"))["rows"]
    assert all(len(row["values"]) == 2 for row in rows)
    assert all(value > 0 for row in rows for value in row["values"])
