"""Rounds of several libraries, interleaved, so that what else the machine does meets all alike."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


class RoundFailedError(Exception):
    """A round gave no value; the text says why."""


@dataclass(slots=True)
class Samples:
    """What the rounds of one library gave.

    Attributes:
        values: those measured, in the order of the rounds.
        failures: the reasons of the rounds that gave none.
    """

    values: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @property
    def rounds(self) -> int:
        """All rounds, the failed ones included."""
        return len(self.values) + len(self.failures)


Round = Callable[[int], float]
"""Measures once, given the number of the round; raises RoundFailedError if there is nothing to measure."""


def interleave(
    measures: Mapping[str, Round], rounds: int, on_round: Callable[[], None]
) -> dict[str, Samples]:
    """Run the rounds of all libraries in turn.

    Args:
        measures: how to measure, by the library's name.
        rounds: how many each has. Every second one goes through the libraries backwards, so that none
            always runs in the wake of the same other.
        on_round: called after each round of each library.
    """
    samples = {library: Samples() for library in measures}
    for number in range(rounds):
        order = list(measures)
        for library in reversed(order) if number % 2 else order:
            try:
                samples[library].values.append(measures[library](number))
            except RoundFailedError as error:
                samples[library].failures.append(f"round {number + 1}: {error}")
            on_round()
    return samples
