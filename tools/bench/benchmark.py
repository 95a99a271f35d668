"""A benchmark: what it measures, and how it is run."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tools.bench import libraries
from tools.bench.peers.network import Transport
from tools.bench.results import Results, this_machine
from tools.bench.runner import Scenario, run

SIZES = {"64 B": 64, "1 KiB": 1 << 10, "64 KiB": 1 << 16, "1 MiB": 1 << 20}
"""Sizes of messages, by their names."""
TRANSPORTS: tuple[Transport, ...] = ("tcp", "ipc")
_QUICK_S = 0.05
_QUICK_FAN = 2
_FAN = 8


@dataclass(frozen=True, slots=True)
class Options:
    """What can be chosen.

    Attributes:
        rounds: how many of each; None for the benchmark's own number.
        seconds: how long a round is to take; None for the benchmark's own time.
        peers: the libraries to measure; none for all.
        sizes: names out of SIZES.
        transports: what messages travel over, where there is a choice.
        quick: to see whether everything works, not how fast: a short round of each, of fewer processes.
    """

    rounds: int | None = None
    seconds: float | None = None
    peers: Sequence[str] = ()
    sizes: Sequence[str] = tuple(SIZES)
    transports: Sequence[Transport] = TRANSPORTS
    quick: bool = False

    @property
    def fan(self) -> int:
        """How many processes a fan has on its wide side."""
        return _QUICK_FAN if self.quick else _FAN

    def duration(self, usual: float) -> float:
        """How long a round is to take, in seconds.

        Args:
            usual: how long if nothing was chosen.
        """
        return self.seconds if self.seconds is not None else _QUICK_S if self.quick else usual

    def libraries(self, need: str, benchmark: str) -> list[str]:
        """Those that are chosen, installed, and able.

        Args:
            need: what they must be able to do.
            benchmark: its name.
        """
        able = libraries.able(need, benchmark)
        return [name for name in libraries.versions(able) if not self.peers or name in self.peers]


@dataclass(frozen=True, slots=True)
class Benchmark:
    """What a command runs.

    Attributes:
        name: of the command.
        caption: what the figures are, and their unit.
        needs: what a library must be able to do to take part.
        rounds: how many of each, if nothing was chosen.
        scenarios: what is measured.
    """

    name: str
    caption: str
    needs: str
    rounds: int
    scenarios: Callable[[Options], Sequence[Scenario[Any]]]

    def missing(self, options: Options) -> dict[str, str]:
        """The libraries that would take part if they were installed, and how to install them."""
        wanted = libraries.able(self.needs, self.name)
        there = libraries.versions(wanted)
        return {
            name: libraries.remedy(name)
            for name in wanted
            if name not in there and (not options.peers or name in options.peers)
        }

    def run(self, options: Options, command: str) -> Results:
        """Run it.

        Args:
            options: what was chosen.
            command: how it was started.
        """
        rounds = options.rounds or (1 if options.quick else self.rounds)
        outcome = run(self.scenarios(options), rounds)
        versions = libraries.versions(options.libraries(self.needs, self.name))
        return Results(
            self.name, self.caption, command, this_machine(), versions, outcome.rows, outcome.problems
        )
