"""The results of a benchmark, and its goals."""

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tools.bench.libraries import OWN
from tools.bench.rounds import Samples
from tools.bench.statistics import Summary, summarize

_THOUSANDS = 10_000


@dataclass(frozen=True, slots=True)
class Goal:
    """A goal for colugo.

    Attributes:
        of: "p50" or "p99" of its values, or "ratio": its median to that of the row's library.
        bound: whether the limit is a minimum or a maximum.
        limit: the limit in the unit of the values; a ratio has no unit.
    """

    of: Literal["p50", "p99", "ratio"]
    bound: Literal["least", "most"]
    limit: float

    def __str__(self) -> str:
        sign = "≥" if self.bound == "least" else "≤"
        limit = f"{self.limit / 1000:g}k" if self.limit >= _THOUSANDS else f"{self.limit:g}"
        return f"{sign} {limit}x" if self.of == "ratio" else f"{self.of} {sign} {limit}"

    def met_by(self, value: float) -> bool:
        """Return True if a value meets the goal."""
        return value >= self.limit if self.bound == "least" else value <= self.limit


def at_least(ratio: float) -> tuple[Goal]:
    """Make a goal: at least this multiple of the other library's median."""
    return (Goal("ratio", "least", ratio),)


def at_most(ratio: float) -> tuple[Goal]:
    """Make a goal: at most this multiple of the other library's median."""
    return (Goal("ratio", "most", ratio),)


@dataclass(frozen=True, slots=True)
class Row:
    """One figure of one library.

    Attributes:
        name: what was measured.
        library: with what.
        samples: what came of it, in the benchmark's unit.
        goals: what colugo is to reach, in itself or beside this library.
        message_bytes: the payload of a message, where the values are messages per second.
    """

    name: str
    library: str
    samples: Samples
    goals: tuple[Goal, ...] = ()
    message_bytes: int | None = None

    @property
    def summary(self) -> Summary | None:
        """None if no round gave a value."""
        return summarize(self.samples.values)

    @property
    def megabytes(self) -> float | None:
        """Megabytes a second, at the median; None where there are none."""
        summary = self.summary
        if summary is None or self.message_bytes is None:
            return None
        return summary.p50 * self.message_bytes / 1e6


def ratio(row: Row, rows: Sequence[Row]) -> float | None:
    """Return colugo's median as a multiple of the row's, for the same measurement.

    Returns:
        None if one of the two has no value.
    """
    own = _own(row, rows)
    mine, its = own.summary if own else None, row.summary
    return mine.p50 / its.p50 if mine is not None and its is not None and its.p50 else None


def met(row: Row, rows: Sequence[Row]) -> bool | None:
    """Return True if a row meets all its goals and no round of colugo or the row's library failed.

    Returns:
        None if there are no goals.
    """
    if not row.goals:
        return None
    own = _own(row, rows)
    if own is None or own.samples.failures or row.samples.failures:
        return False
    values = ((goal, value_of(goal, row, rows)) for goal in row.goals)
    return all(value is not None and goal.met_by(value) for goal, value in values)


def value_of(goal: Goal, row: Row, rows: Sequence[Row]) -> float | None:
    """Return the value of a row's goal.

    Returns:
        None if there is no value.
    """
    if goal.of == "ratio":
        return ratio(row, rows)
    own = _own(row, rows)
    summary = own.summary if own else None
    return None if summary is None else summary.p50 if goal.of == "p50" else summary.p99


def _own(row: Row, rows: Sequence[Row]) -> Row | None:
    return next((other for other in rows if other.name == row.name and other.library == OWN), None)


@dataclass(frozen=True, slots=True)
class Machine:
    """The machine of a measurement."""

    system: str
    processor: str
    cpus: int
    python: str


def this_machine() -> Machine:
    """Describe this machine."""
    return Machine(
        system=f"{platform.system()} {platform.release().partition('-')[0]}",
        processor=_processor(),
        cpus=len(os.sched_getaffinity(0)),
        python=platform.python_version(),
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())


@dataclass(frozen=True, slots=True)
class Results:
    """The results of one run of a benchmark.

    Attributes:
        benchmark: the benchmark's name.
        caption: the meaning and unit of the figures.
        command: the command line.
        machine: the machine it ran on.
        versions: the versions of the libraries.
        rows: the rows, in the order of the table.
        problems: the problems, in sentences.
    """

    benchmark: str
    caption: str
    command: str
    machine: Machine
    versions: dict[str, str]
    rows: list[Row]
    problems: list[str]
