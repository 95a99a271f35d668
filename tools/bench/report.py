"""Results as a table, on a terminal and in Markdown."""

from collections.abc import Sequence
from dataclasses import replace

from rich.box import SIMPLE_HEAD
from rich.table import Table

from tools.bench.libraries import OWN
from tools.bench.results import Results, Row, met, ratio, value_of

_TEXTS = ("measured", "library")
_ENDS = ("ratio", "goal", "met")
_MANY = 20
_PREFIXES = ((1e6, "M"), (1e3, "k"))


def as_table(results: Results) -> Table:
    """All rows in one table; narrow enough for 80 columns."""
    table = Table(title=title(results), caption=caption(results), box=SIMPLE_HEAD, padding=0, pad_edge=False)
    for heading in headings(results.rows):
        table.add_column(heading, justify="left" if heading in _TEXTS else "right", no_wrap=True)
    colours = {"yes": "green", "no": "red"}
    for row in results.rows:
        *texts, goals, verdict = cells(row, results.rows)
        colour = colours.get(verdict)
        table.add_row(*texts, goals.replace(", ", "\n"), f"[{colour}]{verdict}[/]" if colour else verdict)
    return table


def as_markdown(results: Results) -> str:
    """The same, to be put into a page, with what went wrong."""
    names = headings(results.rows)
    rules = ("---" if name in _TEXTS else "---:" for name in names)
    lines = [names, rules, *(cells(row, results.rows) for row in results.rows)]
    table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    problems = "\n".join(f"- {problem}" for problem in results.problems)
    parts = [f"### {results.benchmark}", caption(results), table, problems]
    return "\n\n".join(part for part in parts if part)


def goals_as_markdown(everything: Sequence[Results]) -> str:
    """All goals in one table, each with what it came to."""
    lines = ["| benchmark | measured | beside | goal | came to | met |", "|---|---|---|---:|---:|---|"]
    for results in everything:
        for row in results.rows:
            for goal in row.goals:
                value = value_of(goal, row, results.rows)
                unit = "x" if goal.of == "ratio" and value is not None else ""
                beside = "" if row.library == OWN else row.library
                verdict = "yes" if met(replace(row, goals=(goal,)), results.rows) else "no"
                line = (results.benchmark, row.name, beside, str(goal), short(value) + unit, verdict)
                lines.append("| " + " | ".join(line) + " |")
    return "\n".join(lines)


def title(results: Results) -> str:
    """The benchmark and the versions of its libraries."""
    libraries = ", ".join(f"{library} {version}" for library, version in results.versions.items())
    return f"{results.benchmark}: {libraries}"


def caption(results: Results) -> str:
    """Return the explanation of the columns."""
    return f"{results.caption} Ratio: the median of {OWN} as a multiple of this one."


def headings(rows: Sequence[Row]) -> list[str]:
    """Those of the columns that these rows need."""
    many = ["p99"] if _many(rows) else []
    sizes = ["MB/s"] if _sized(rows) else []
    return [*_TEXTS, "rounds", "lost", "min", "median", *many, "max", *sizes, *_ENDS]


def cells(row: Row, rows: Sequence[Row]) -> list[str]:
    """A row's, one for each heading."""
    summary = row.summary
    figures: list[float | None] = [None] * 4
    if summary is not None:
        figures = [summary.minimum, summary.p50, summary.p99, summary.maximum]
    if not _many(rows):
        del figures[2]
    if _sized(rows):
        figures.append(row.megabytes)
    failed, times = len(row.samples.failures), ratio(row, rows)
    return [
        row.name,
        row.library,
        f"{row.samples.rounds - failed} of {row.samples.rounds}" if failed else str(row.samples.rounds),
        str(row.samples.lost),
        *map(short, figures),
        "" if row.library == OWN else "-" if times is None else f"{short(times)}x",
        ", ".join(map(str, row.goals)),
        {True: "yes", False: "no", None: ""}[met(row, rows)],
    ]


def short(value: float | None) -> str:
    """A figure in three digits, such as 1.23M; a dash if there is none."""
    if value is None:
        return "-"
    for unit, prefix in _PREFIXES:
        if value >= unit:
            return _three_digits(value / unit) + prefix
    return _three_digits(value)


def _three_digits(value: float) -> str:
    for limit, digits in ((100, 0), (10, 1)):
        if value >= limit:
            return f"{value:.{digits}f}"
    return f"{value:.2f}"


def _many(rows: Sequence[Row]) -> bool:
    return any(len(row.samples.values) >= _MANY for row in rows)


def _sized(rows: Sequence[Row]) -> bool:
    return any(row.message_bytes is not None for row in rows)
