"""The benchmarks' results: goals, tables, files and the page."""

import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from tools.bench import store
from tools.bench.bars import groups
from tools.bench.page import BEGIN, END, MarkersError, renew
from tools.bench.report import as_markdown, as_table, short
from tools.bench.results import Goal, Results, Row, at_least, at_most, met, ratio, this_machine
from tools.bench.rounds import Samples

_LIMITS = (Goal("p50", "most", 2), Goal("p99", "most", 5))


def _results(*rows: Row, problems: tuple[str, ...] = ()) -> Results:
    versions = {"colugo": "1.2", "zenoh": "3.4"}
    return Results("discovery", "Times.", "python -m x", this_machine(), versions, list(rows), list(problems))


@pytest.mark.parametrize(
    ("samples", "expected"),
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
    expected: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    row = Row("start", "colugo", samples, _LIMITS)
    assert met(row, [row]) is expected


@pytest.mark.parametrize(
    ("own", "goals", "expected"),
    [
        (Samples([6]), at_least(3), True),
        (Samples([5]), at_least(3), False),
        (Samples([5]), at_most(3), True),
        (Samples([7]), at_most(3), False),
        (Samples([6], ["round 2: silence"]), at_least(3), False),
    ],
)
def test_a_goal_beside_another_library_compares_medians(
    own: Samples,
    goals: tuple[Goal, ...],
    expected: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    other = Row("64 B", "zenoh", Samples([1, 2, 9]), goals)
    assert met(other, [Row("64 B", "colugo", own), other]) is expected


@pytest.mark.parametrize(
    ("goal", "text"),
    [
        (Goal("p50", "least", 200_000), "p50 ≥ 200k"),
        (Goal("p99", "most", 200), "p99 ≤ 200"),
        (Goal("ratio", "least", 3.5), "≥ 3.5x"),
    ],
)
def test_a_goal_is_shown_short(goal: Goal, text: str) -> None:
    assert str(goal) == text


def test_without_a_goal_nothing_is_met_or_missed() -> None:
    row = Row("start", "zenoh", Samples([1]))
    assert met(row, [row]) is None


def test_a_goal_beside_another_library_is_missed_without_a_figure_of_colugo() -> None:
    row = Row("start", "zenoh", Samples([1]), at_most(3))
    assert met(row, [row]) is False


def test_a_ratio_compares_medians_of_the_same_measurement() -> None:
    rows = [
        Row("start", "zenoh", Samples([2])),
        Row("start", "colugo", Samples([3])),
        Row("other", "colugo", Samples([1])),
    ]
    assert ratio(rows[0], rows) == 1.5
    assert ratio(rows[0], rows[:1]) is None
    assert ratio(Row("start", "zenoh", Samples([], ["silence"])), rows) is None


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (0, "0.00"),
        (1.234, "1.23"),
        (12.34, "12.3"),
        (999.4, "999"),
        (1234, "1.23k"),
        (2_345_678, "2.35M"),
        (123_456_789, "123M"),
    ],
)
def test_a_figure_is_shown_in_three_digits(value: float | None, text: str) -> None:
    assert short(value) == text


@given(st.floats(0.01, 9e8))
def test_a_figure_that_is_shown_is_right_within_half_a_percent(value: float) -> None:
    text = short(value)
    factor = {"k": 1e3, "M": 1e6}.get(text[-1], 1)
    assert abs(float(text.rstrip("kM")) * factor - value) <= max(0.0051 * value, 0.0051)


def _table(results: Results) -> list[str]:
    console = Console(width=80, file=io.StringIO(), record=True)
    console.print(as_table(results))
    return [" ".join(line.split()) for line in console.export_text().splitlines()]


def test_the_table_shows_figures_failures_and_goals_within_80_columns() -> None:
    own = Samples([4.0, 6.0], ["round 3: silence"], 7)
    lines = _table(
        _results(
            Row("1 KiB tcp", "colugo", own, message_bytes=1_000_000),
            Row("1 KiB tcp", "cyclonedds", Samples([8.0]), at_least(0.95), 1_000_000),
            Row("1 KiB ipc", "colugo", Samples([], ["round 1: silence"])),
        )
    )
    assert "1 KiB tcp colugo 2 of 3 7 4.00 4.00 6.00 4.00" in lines
    assert "1 KiB tcp cyclonedds 1 0 8.00 8.00 8.00 8.00 0.50x ≥ 0.95x no" in lines
    assert "1 KiB ipc colugo 0 of 1 0 - - - -" in lines


def test_the_longest_names_of_the_streams_fit_in_80_columns() -> None:
    lines = _table(
        _results(
            Row("disk flood", "jetstream-sync", Samples([123_000]), at_least(10)),
            Row("disk flood", "colugo", Samples([1_234_000]), (Goal("p50", "least", 200_000),)),
        )
    )
    assert "disk flood jetstream-sync 1 0 123k 123k 123k 10.0x ≥ 10x yes" in lines
    assert "disk flood colugo 1 0 1.23M 1.23M 1.23M p50 ≥ 200k yes" in lines


def test_the_table_of_many_rounds_has_the_99th_percentile_too() -> None:
    limits = (Goal("p50", "most", 15), Goal("p99", "most", 200))
    lines = _table(_results(Row("new process", "colugo", Samples([float(n) for n in range(1, 101)]), limits)))
    assert "new process colugo 100 0 1.00 50.0 99.0 100 p50 ≤ 15 no" in lines
    assert "p99 ≤ 200" in lines


def test_the_json_file_holds_each_value_and_failure_and_can_be_read_again(tmp_path: Path) -> None:
    file = tmp_path / "new" / "result.json"
    row = Row("new socket", "colugo", Samples([2.0, 1.0], ["round 3: silence"]), _LIMITS)
    results = _results(row, problems=("new socket, colugo, round 3: silence",))
    store.write(file, results)
    assert store.read(file) == results
    (found,) = json.loads(file.read_text(encoding="utf-8"))["rows"]
    assert found["summary"]["p50"] == 1.0
    assert found["met"] is False
    assert found["ratio"] == 1


def test_a_page_gets_the_tables_between_its_marked_lines_however_often(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n\n{BEGIN}\nold\n{END}\n\nafter\n", encoding="utf-8")
    rows = (
        Row("64 B", "colugo", Samples([2.0]), _LIMITS),
        Row("64 B", "zenoh", Samples([], ["round 1: silence"]), at_least(3)),
    )
    results = _results(*rows, problems=("64 B, zenoh, round 1: silence",))
    renew(page, [results])
    once = page.read_text(encoding="utf-8")
    renew(page, [results])
    assert page.read_text(encoding="utf-8") == once
    assert once.startswith(f"before\n\n{BEGIN}\n")
    assert once.endswith(f"{END}\n\nafter\n")
    assert "old" not in once
    assert as_markdown(results).rstrip() in once
    for text in (
        "| 64 B | colugo | 1 | 0 | 2.00 |",
        "- 64 B, zenoh, round 1: silence",
        "`python -m x`",
        "| discovery | 64 B |  | p50 ≤ 2 | 2.00 | yes |",
        "| discovery | 64 B | zenoh | ≥ 3x | - | no |",
    ):
        assert text in once


@pytest.mark.parametrize("text", ["", BEGIN, END, f"{END}{BEGIN}", f"{BEGIN}{END}{BEGIN}{END}"])
def test_a_page_without_its_two_marked_lines_stays_as_it_is(text: str, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(text, encoding="utf-8")
    with pytest.raises(MarkersError, match="once each"):
        renew(page, [])
    assert page.read_text(encoding="utf-8") == text


def test_a_bar_is_a_multiple_of_the_reference_in_the_same_measurement() -> None:
    rows = [
        Row("64 B tcp", "pyzmq", Samples([2])),
        Row("64 B tcp", "colugo", Samples([4])),
        Row("64 B tcp", "zenoh", Samples([], ["round 1: silence"])),
        Row("64 B ipc", "colugo", Samples([1])),
    ]
    assert groups(rows) == {"64 B tcp": {"colugo": 2}}
