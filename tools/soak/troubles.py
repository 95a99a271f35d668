"""The random schedule of kills and cable cuts in a soak, computed from the seed."""

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
    """A kill of a process.

    Attributes:
        at: the time in seconds from the start.
        choice: selects the process, as a fraction of those that run then.
        back_s: how many seconds later it is restarted.
        sharp: True if it kills itself at the worst moment, if that comes.
    """

    at: float
    choice: float
    back_s: float
    sharp: bool


@dataclass(frozen=True, order=True)
class Cut:
    """A silent cut of a host's cable.

    Attributes:
        at: the time in seconds from the start.
        choice: selects the host, as a fraction of those with a whole cable.
        lasts_s: the duration in seconds.
        way: the direction: outgoing or incoming packets; None for both.
    """

    at: float
    choice: float
    lasts_s: float
    way: Literal["out", "in"] | None


def kills(seed: int, count: int, seconds: float) -> Iterator[Kill]:
    """Yield kills at random times within a period, in order."""
    chance = random.Random(f"kills {seed}")
    for at in sorted(chance.uniform(0, seconds) for _ in range(count)):
        yield Kill(at, chance.random(), chance.uniform(0, RESTART_S), chance.random() < _SHARP)


def cuts(seed: int, count: int, seconds: float) -> Iterator[Cut]:
    """Yield cuts at random times within a period, in order."""
    chance = random.Random(f"cuts {seed}")
    for at in sorted(chance.uniform(0, seconds) for _ in range(count)):
        yield Cut(at, chance.random(), chance.uniform(*_CUT_S), chance.choice(_WAYS))
