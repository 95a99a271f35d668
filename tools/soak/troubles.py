"""What happens to the processes and cables of a soak, and when; all of it follows from the seed."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

RESTART_S = 1.5
_SHARP = 0.5
_CUT_S = (2.0, 8.0)
_WAYS: tuple[Literal["out", "in"] | None, ...] = (None, None, "out", "in")


@dataclass(frozen=True, order=True)
class Kill:
    """A process is killed.

    Attributes:
        at: when, seconds from the beginning.
        choice: which, as a share of those that run then.
        back_s: how many seconds later it is started again.
        sharp: whether it kills itself at the worst moment, when there is one.
    """

    at: float
    choice: float
    back_s: float
    sharp: bool


@dataclass(frozen=True, order=True)
class Cut:
    """A host's cable is cut, without anybody being told.

    Attributes:
        at: when, seconds from the beginning.
        choice: which, as a share of those that are whole then.
        lasts_s: for how many seconds.
        way: only what it sends, or what it gets; None for both.
    """

    at: float
    choice: float
    lasts_s: float
    way: Literal["out", "in"] | None


def kills(seed: int, count: int, seconds: float) -> Iterator[Kill]:
    """Kills at random times within so many seconds, in their order."""
    chance = random.Random(f"kills {seed}")
    for at in sorted(chance.uniform(0, seconds) for _ in range(count)):
        yield Kill(at, chance.random(), chance.uniform(0, RESTART_S), chance.random() < _SHARP)


def cuts(seed: int, count: int, seconds: float) -> Iterator[Cut]:
    """Cuts at random times within so many seconds, in their order."""
    chance = random.Random(f"cuts {seed}")
    for at in sorted(chance.uniform(0, seconds) for _ in range(count)):
        yield Cut(at, chance.random(), chance.uniform(*_CUT_S), chance.choice(_WAYS))
