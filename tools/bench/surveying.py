"""How many surveys a second, of ten respondents."""

from contextlib import ExitStack
from functools import partial

from tools.bench.benchmark import Benchmark, Options
from tools.bench.libraries import SURVEYS
from tools.bench.processes import Child, NoAnswerError
from tools.bench.results import at_least
from tools.bench.rounds import RoundFailedError
from tools.bench.runner import Figure, Measurement, Scenario

_ROLES = "tools.bench.survey_roles"
_RESPONDENTS = 10
_BYTES = 64
_START_S = 30.0
_ROUND_S = 60.0
_TRIAL = 50
_NS = 1e9
_IN_FLIGHT = (1, 16)
_GOALS = {"pynng": at_least(2)}


class Surveying:
    """A surveyor and ten respondents, a process each.

    Args:
        library: what they use.
        port: where they meet.

    Raises:
        NoAnswerError: if they do not come up, or do not find each other.
    """

    def __init__(self, library: str, port: int) -> None:
        self._counts: dict[int, int] = {}
        self._most = 1 if library == "pynng" else max(_IN_FLIGHT)
        with ExitStack() as stack:
            for _ in range(_RESPONDENTS):
                child = stack.enter_context(Child(_ROLES, "respond", library, str(port)))
                child.expect("ready", within=_START_S)
            self._surveyor = stack.enter_context(
                Child(_ROLES, "survey", library, str(port), str(_RESPONDENTS))
            )
            self._surveyor.expect("ready", within=_START_S)
            self._children = stack.pop_all()

    def calibrate(self, in_flight: int, seconds: float) -> None:
        """Find out how many surveys take so long."""
        self._counts[in_flight] = max(in_flight, int(self._rate(in_flight, _TRIAL) * seconds))

    def rate(self, in_flight: int) -> float:
        """Ask a round of surveys; a library that has one at a time asks them so.

        Returns:
            Surveys per second.

        Raises:
            RoundFailedError: if one was not answered by all.
        """
        return self._rate(in_flight, self._counts[in_flight])

    def close(self) -> None:
        """End the processes."""
        self._children.close()

    def _rate(self, in_flight: int, count: int) -> float:
        order = f"ask {_BYTES} {count} {min(in_flight, self._most)}"
        try:
            answered, elapsed = map(int, self._surveyor.ask(order, "asked", within=_ROUND_S))
        except NoAnswerError as error:
            raise RoundFailedError(str(error)) from error
        missing = count * _RESPONDENTS - answered
        if missing:
            raise RoundFailedError(f"{missing} answers are missing", lost=missing)
        return count * _NS / elapsed


def _surveys(options: Options) -> list[Scenario[Surveying]]:
    seconds = options.duration(1.0)
    return [
        Scenario(
            options.libraries(SURVEYS, SURVEYING.name),
            Surveying,
            [_in_flight(number, seconds) for number in _IN_FLIGHT],
        )
    ]


def _in_flight(number: int, seconds: float) -> Measurement[Surveying]:
    return Measurement(
        f"{number} in flight",
        lambda surveying, _: (surveying.rate(number),),
        [Figure(goals=_GOALS)],
        partial(Surveying.calibrate, in_flight=number, seconds=seconds),
    )


SURVEYING = Benchmark(
    "surveys",
    "Surveys of 64 B per second, each answered by ten processes; so many under way at any time (pynng: one).",
    SURVEYS,
    5,
    _surveys,
)
