"""The runner of a benchmark's scenarios for all libraries, with progress on standard error."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Generic, Protocol, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tools.bench.peers.network import free_port
from tools.bench.processes import NoAnswerError
from tools.bench.results import Goal, Row
from tools.bench.rounds import RoundFailedError, Samples, interleave


class Running(Protocol):
    """The running processes of one library, from creation to `close`."""

    def close(self) -> None:
        """End the processes; raises NoAnswerError if one did not end well."""


R = TypeVar("R", bound=Running)


@dataclass(frozen=True, slots=True)
class Figure:
    """A value that every round measures.

    Attributes:
        name: what the table adds to the measurement's name.
        goals: what colugo is to reach: in itself, or beside the library of that name.
        message_bytes: the payload of a message, where the values are messages per second.
    """

    name: str = ""
    goals: Mapping[str, tuple[Goal, ...]] = field(default_factory=dict)
    message_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Measurement(Generic[R]):
    """A measurement with running processes.

    Attributes:
        name: what the table calls it.
        measure: takes what runs and the number of the round, and returns the values of the figures;
            raises RoundFailedError if there are none.
        figures: what the values are.
        prepare: called once before the rounds, without being measured.
    """

    name: str
    measure: Callable[[R, int], tuple[float, ...]]
    figures: Sequence[Figure]
    prepare: Callable[[R], None] = lambda _: None


@dataclass(frozen=True, slots=True)
class Scenario(Generic[R]):
    """Processes of every library, and the measurements with them.

    Attributes:
        libraries: which.
        start: takes a library and a free port, which tells its network from others; raises NoAnswerError
            if its processes do not come up.
        measurements: one after another.
    """

    libraries: Sequence[str]
    start: Callable[[str, int], R]
    measurements: Sequence[Measurement[R]]


@dataclass(slots=True)
class Outcome:
    """The outcome of a run.

    Attributes:
        rows: the figures.
        problems: the problems, in sentences.
    """

    rows: list[Row] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def run(scenarios: Iterable[Scenario[R]], rounds: int) -> Outcome:
    """Run one scenario after another, in each the rounds of all libraries in turn.

    Args:
        scenarios: what to measure.
        rounds: how many rounds each library has of each measurement.
    """
    outcome = Outcome()
    with _progress() as progress:
        for scenario in scenarios:
            _run(scenario, rounds, outcome, progress)
    return outcome


def _run(scenario: Scenario[R], rounds: int, outcome: Outcome, progress: Progress) -> None:
    running: dict[str, R] = {}
    names = ", ".join(measurement.name for measurement in scenario.measurements)
    task = progress.add_task(f"starting: {names}", total=len(scenario.libraries))
    try:
        for library in scenario.libraries:
            try:
                running[library] = scenario.start(library, free_port())
            except NoAnswerError as error:
                outcome.problems.append(f"{names}, {library}, at the start: {error}")
            progress.advance(task)
        progress.remove_task(task)
        for measurement in scenario.measurements:
            _measure(measurement, running, rounds, outcome, progress)
    finally:
        for library, one in running.items():
            try:
                one.close()
            except NoAnswerError as error:  # what was measured is shown all the same
                outcome.problems.append(f"{names}, {library}, at the end: {error}")


def _measure(
    measurement: Measurement[R], running: Mapping[str, R], rounds: int, outcome: Outcome, progress: Progress
) -> None:
    task = progress.add_task(measurement.name, total=rounds * len(running))
    unready: dict[str, list[Samples]] = {}
    for library, one in running.items():
        try:
            measurement.prepare(one)
        except (NoAnswerError, RoundFailedError) as error:
            lost = error.lost if isinstance(error, RoundFailedError) else 0
            failed = Samples(failures=[f"before the rounds: {error}"], lost=lost)
            unready[library] = [failed] * len(measurement.figures)
    measures = {
        library: partial(measurement.measure, one)
        for library, one in running.items()
        if library not in unready
    }
    figures = len(measurement.figures)
    samples = unready | interleave(measures, figures, rounds, partial(progress.advance, task))
    for number, figure in enumerate(measurement.figures):
        for library in running:
            outcome.rows.append(_row(measurement.name, figure, library, samples[library][number]))
    for library in running:
        failures = samples[library][0].failures
        outcome.problems += [f"{measurement.name}, {library}, {failure}" for failure in failures]


def _row(name: str, figure: Figure, library: str, samples: Samples) -> Row:
    name = f"{name}, {figure.name}" if figure.name else name
    return Row(name, library, samples, figure.goals.get(library, ()), figure.message_bytes)


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
    )
