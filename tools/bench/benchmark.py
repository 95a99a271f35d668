"""A benchmark: its measurements and its run."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tools.bench import libraries
from tools.bench.peers.network import Transport
from tools.bench.results import Results, this_machine
from tools.bench.runner import Scenario, run

SIZES = {"64 B": 64, "1 KiB": 1 << 10, "64 KiB": 1 << 16, "1 MiB": 1 << 20}
"""Message sizes, by name."""
TRANSPORTS: tuple[Transport, ...] = ("tcp", "ipc")
_QUICK_S = 0.05
_QUICK_FAN = 2
_FAN = 8


@dataclass(frozen=True, slots=True)
class Options:
    """The options of a run.

    Attributes:
        rounds: the number of rounds; None for the benchmark's own number.
        seconds: the duration of a round; None for the benchmark's own duration.
        peers: the libraries to measure; empty for all.
        sizes: names out of SIZES.
        transports: the transports to measure, where there is a choice.
        quick: True to check that everything works, with one short round and fewer processes.
    """

    rounds: int | None = None
    seconds: float | None = None
    peers: Sequence[str] = ()
    sizes: Sequence[str] = tuple(SIZES)
    transports: Sequence[Transport] = TRANSPORTS
    quick: bool = False

    @property
    def fan(self) -> int:
        """The number of processes on the wide side of a fan."""
        return _QUICK_FAN if self.quick else _FAN

    def duration(self, usual: float) -> float:
        """Return the duration of a round in seconds.

        Args:
            usual: the duration without an option.
        """
        return self.seconds if self.seconds is not None else _QUICK_S if self.quick else usual

    def libraries(self, need: str, benchmark: str) -> list[str]:
        """List the selected libraries that are installed and can take part.

        Args:
            need: the required capability.
            benchmark: the benchmark's name.
        """
        able = libraries.able(need, benchmark)
        return [name for name in libraries.versions(able) if not self.peers or name in self.peers]


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A benchmark that a command runs.

    Attributes:
        name: the command's name.
        caption: the meaning and unit of the figures.
        needs: the capability that a library needs to take part.
        rounds: the default number of rounds.
        scenarios: makes the scenarios to measure.
    """

    name: str
    caption: str
    needs: str
    rounds: int
    scenarios: Callable[[Options], Sequence[Scenario[Any]]]

    def missing(self, options: Options) -> dict[str, str]:
        """Return the libraries that are not installed but could take part, and how to install them."""
        wanted = libraries.able(self.needs, self.name)
        there = libraries.versions(wanted)
        return {
            name: libraries.remedy(name)
            for name in wanted
            if name not in there and (not options.peers or name in options.peers)
        }

    def run(self, options: Options, command: str) -> Results:
        """Run the benchmark.

        Args:
            options: the options.
            command: the command line, for the results.
        """
        rounds = options.rounds or (1 if options.quick else self.rounds)
        outcome = run(self.scenarios(options), rounds)
        versions = libraries.versions(options.libraries(self.needs, self.name))
        return Results(
            self.name, self.caption, command, this_machine(), versions, outcome.rows, outcome.problems
        )
