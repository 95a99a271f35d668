"""The results of a benchmark as a table and as JSON."""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.table import Table

from tools.bench.rounds import Samples
from tools.bench.statistics import Summary, summarize


@dataclass(frozen=True, slots=True)
class Goal:
    """What colugo is to reach, in milliseconds; None where there is no goal."""

    p50_ms: float | None = None
    p99_ms: float | None = None

    def __str__(self) -> str:
        limits = {"p50": self.p50_ms, "p99": self.p99_ms}
        return ", ".join(f"{name} ≤ {limit:g}" for name, limit in limits.items() if limit is not None)

    def met_by(self, summary: Summary) -> bool:
        """Whether the values reach it."""
        return not (
            (self.p50_ms is not None and summary.p50 > self.p50_ms)
            or (self.p99_ms is not None and summary.p99 > self.p99_ms)
        )


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement of one library.

    Attributes:
        name: what was measured.
        library: with what.
        samples: what came of it, in milliseconds.
        goal: what it is to reach; None if it is only there to compare with.
    """

    name: str
    library: str
    samples: Samples
    goal: Goal | None = None

    @property
    def summary(self) -> Summary | None:
        """None if no round gave a value."""
        return summarize(self.samples.values)

    @property
    def met(self) -> bool | None:
        """Whether the goal is met, for which no round may fail; None without a goal."""
        if self.goal is None:
            return None
        return not self.samples.failures and self.summary is not None and self.goal.met_by(self.summary)


def ratio(row: Row, rows: Sequence[Row], reference: str) -> float | None:
    """The row's median as a multiple of that of the reference library in the same measurement.

    Returns:
        None if one of the two has no value.
    """
    for other in rows:
        if other.name == row.name and other.library == reference:
            own, its = row.summary, other.summary
            return own.p50 / its.p50 if own is not None and its is not None and its.p50 else None
    return None


def as_table(title: str, rows: Sequence[Row], *, reference: str) -> Table:
    """All rows in one table.

    Args:
        title: what stands above it.
        rows: in their order.
        reference: the library whose medians the others are compared with.
    """
    # Narrow enough for 80 columns.
    table = Table(
        title=title,
        caption=f"times in milliseconds; ratio: this median to that of {reference}",
        box=SIMPLE_HEAD,
        padding=0,
        pad_edge=False,
    )
    for heading in ("measured", "library"):
        table.add_column(heading, no_wrap=True)
    for heading in ("rounds", "failed", "min", "p50", "p99", "max"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("goal", width=10)
    table.add_column("met", no_wrap=True)
    table.add_column("ratio", justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*_cells(row, ratio(row, rows, reference)))
    return table


def _cells(row: Row, times: float | None) -> list[str]:
    summary = row.summary
    figures = (summary.minimum, summary.p50, summary.p99, summary.maximum) if summary else (None,) * 4
    met = {True: "[green]yes[/]", False: "[red]no[/]", None: ""}[row.met]
    return [
        row.name,
        row.library,
        str(row.samples.rounds),
        f"[red]{len(row.samples.failures)}[/]" if row.samples.failures else "0",
        *("-" if figure is None else f"{figure:.1f}" for figure in figures),
        str(row.goal or ""),
        met,
        "-" if times is None else f"{times:.2f}x",
    ]


def write_json(
    path: Path, benchmark: str, versions: Mapping[str, str], rows: Sequence[Row], *, reference: str
) -> None:
    """Write everything to a file, each single value included.

    Args:
        path: the file; it is replaced.
        benchmark: its name.
        versions: of the libraries.
        rows: as in the table.
        reference: as in the table.
    """
    content = {
        "benchmark": benchmark,
        "machine": {
            "system": platform.platform(),
            "python": platform.python_version(),
            "cpus": os.cpu_count(),
        },
        "versions": dict(versions),
        "unit": "ms",
        "rows": [
            {
                "name": row.name,
                "library": row.library,
                "rounds": row.samples.rounds,
                "failures": row.samples.failures,
                "summary": asdict(row.summary) if row.summary else None,
                "goal": asdict(row.goal) if row.goal else None,
                "met": row.met,
                f"ratio_to_{reference}": ratio(row, rows, reference),
                "values": row.samples.values,
            }
            for row in rows
        ],
    }
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
