"""How many requests a second go through a dispatcher to its listener."""

from contextlib import ExitStack
from functools import partial

from tools.bench.benchmark import Benchmark, Options
from tools.bench.libraries import DISPATCHES
from tools.bench.processes import Child, NoAnswerError
from tools.bench.results import at_least
from tools.bench.rounds import RoundFailedError
from tools.bench.runner import Figure, Measurement, Scenario

_ROLES = "tools.bench.dispatch_roles"
_START_S = 30.0
_ROUND_S = 60.0
_NS = 1e9
_BURSTS = (100, 5000)
_TRIAL = 5000
_GOALS = {"ate-dispatcher": at_least(2)}


class Dispatching:
    """A process with a dispatcher, a producer and a listener, idle between rounds.

    Args:
        library: what they are of.
        port: of no use: they meet in one process.

    Raises:
        NoAnswerError: if it does not come up.
    """

    def __init__(self, library: str, port: int) -> None:
        del port
        self._bursts: dict[int, int] = {}
        with ExitStack() as stack:
            self._child = stack.enter_context(Child(_ROLES, library))
            self._child.expect("ready", within=_START_S)
            self._children = stack.pop_all()

    def calibrate(self, burst: int, seconds: float) -> None:
        """Find out how many bursts of a size take so long."""
        rate = self._rate(burst, max(1, _TRIAL // burst))
        self._bursts[burst] = max(1, int(rate * seconds) // burst)

    def rate(self, burst: int) -> float:
        """Send a round of bursts.

        Returns:
            Requests per second, from the first sending to the last result at the listener.

        Raises:
            RoundFailedError: if a result was lost or is wrong.
        """
        return self._rate(burst, self._bursts[burst])

    def close(self) -> None:
        """End the process."""
        self._children.close()

    def _rate(self, burst: int, bursts: int) -> float:
        count = burst * bursts
        try:
            answer = self._child.ask(f"send {bursts} {burst}", "sent", within=_ROUND_S)
        except NoAnswerError as error:
            raise RoundFailedError(str(error)) from error
        received, right, elapsed = map(int, answer)
        if received != count:
            raise RoundFailedError(f"{count - received} of {count} results lost", lost=count - received)
        if not right:
            raise RoundFailedError(f"at least one of {count} results is wrong")
        return count * _NS / elapsed


def _dispatches(options: Options) -> list[Scenario[Dispatching]]:
    seconds = options.duration(1.0)
    return [
        Scenario(
            options.libraries(DISPATCHES, DISPATCHING.name),
            Dispatching,
            [_in_bursts(burst, seconds) for burst in _BURSTS],
        )
    ]


def _in_bursts(burst: int, seconds: float) -> Measurement[Dispatching]:
    return Measurement(
        f"bursts of {burst}",
        lambda dispatching, _: (dispatching.rate(burst),),
        [Figure(goals=_GOALS)],
        partial(Dispatching.calibrate, burst=burst, seconds=seconds),
    )


DISPATCHING = Benchmark(
    "dispatch",
    "Requests per second through a dispatcher: the sender, one producer and one listener are threads.",
    DISPATCHES,
    5,
    _dispatches,
)
