"""Running the scenarios of a benchmark for all libraries, with progress on standard error."""

import socket
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tools.bench.libraries import OWN
from tools.bench.processes import NoAnswerError
from tools.bench.report import Goal, Row
from tools.bench.rounds import Samples, interleave


class Running(Protocol):
    """What is measured, for one library: its processes run between making and closing it."""

    def measure(self, number: int) -> float:
        """Measure the round of that number; raises RoundFailedError if it gave nothing."""

    def close(self) -> None:
        """End the processes; raises NoAnswerError if one did not end well."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """Something to measure.

    Attributes:
        name: what the table calls it.
        start: takes a library and the number of a network of its own; raises NoAnswerError if its
            processes do not come up.
        goal: what colugo is to reach.
    """

    name: str
    start: Callable[[str, int], Running]
    goal: Goal


@dataclass(slots=True)
class Outcome:
    """What a run gave.

    Attributes:
        rows: the measurements.
        problems: everything that went wrong, in sentences.
    """

    rows: list[Row] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def run(scenarios: Iterable[Scenario], libraries: Sequence[str], rounds: int) -> Outcome:
    """Run one scenario after another, in each the rounds of all libraries in turn.

    Args:
        scenarios: what to measure.
        libraries: with what.
        rounds: how many rounds each library has in each scenario.

    Raises:
        NoAnswerError: if the processes of a scenario do not come up.
    """
    outcome = Outcome()
    with _progress() as progress:
        for scenario in scenarios:
            task = progress.add_task(scenario.name, total=rounds * len(libraries))
            samples = _rounds(scenario, libraries, rounds, partial(progress.advance, task), outcome.problems)
            for library, its in samples.items():
                goal = scenario.goal if library == OWN else None
                outcome.rows.append(Row(scenario.name, library, its, goal))
                outcome.problems += [f"{scenario.name}, {library}, {failure}" for failure in its.failures]
    return outcome


def _rounds(
    scenario: Scenario,
    libraries: Sequence[str],
    rounds: int,
    on_round: Callable[[], None],
    problems: list[str],
) -> dict[str, Samples]:
    running: dict[str, Running] = {}
    try:
        for library in libraries:
            running[library] = scenario.start(library, _free_port())
        return interleave({library: one.measure for library, one in running.items()}, rounds, on_round)
    finally:
        for library, one in running.items():
            try:
                one.close()
            except NoAnswerError as error:  # what was measured is shown all the same
                problems.append(f"{scenario.name}, {library}, at the end: {error}")


def _free_port() -> int:
    """A UDP port that nobody uses: it tells one network from the others, and zenoh scouts on it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        return int(udp.getsockname()[1])


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
    )
