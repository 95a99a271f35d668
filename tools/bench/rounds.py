"""Interleaved rounds of several libraries, so that other load on the machine affects all alike."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


class RoundFailedError(Exception):
    """A round gave no value; the text says why.

    Args:
        text: why.
        lost: how many messages were lost in it.
    """

    def __init__(self, text: str, *, lost: int = 0) -> None:
        super().__init__(text)
        self.lost = lost


@dataclass(slots=True)
class Samples:
    """The values of one figure for one library.

    Attributes:
        values: the measured values, in the order of the rounds.
        failures: the reasons of failed rounds.
        lost: the number of messages lost in failed rounds.
    """

    values: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    lost: int = 0

    @property
    def rounds(self) -> int:
        """The number of rounds, including failed ones."""
        return len(self.values) + len(self.failures)


Round = Callable[[int], tuple[float, ...]]
"""A function that measures once, given the number of the round; raises RoundFailedError on failure."""


def interleave(
    measures: Mapping[str, Round], figures: int, rounds: int, on_round: Callable[[], None]
) -> dict[str, list[Samples]]:
    """Run the rounds of all libraries in turn.

    Args:
        measures: how to measure, by the library's name.
        figures: how many values each round gives.
        rounds: how many each has. Every second one goes through the libraries backwards, so that none
            always runs in the wake of the same other.
        on_round: called after each round of each library.

    Returns:
        The samples of each figure, by the library's name.
    """
    samples = {library: [Samples() for _ in range(figures)] for library in measures}
    for number in range(rounds):
        order = list(measures)
        for library in reversed(order) if number % 2 else order:
            try:
                values = measures[library](number)
            except RoundFailedError as error:
                for its in samples[library]:
                    its.failures.append(f"round {number + 1}: {error}")
                    its.lost += error.lost
            else:
                for its, value in zip(samples[library], values, strict=True):
                    its.values.append(value)
            on_round()
    return samples
