"""How many messages a second a distributor hands to its targets, also beside targets that do harm."""

from contextlib import ExitStack
from functools import partial

from tools.bench.benchmark import Benchmark, Options
from tools.bench.libraries import DISTRIBUTES
from tools.bench.processes import Child, NoAnswerError
from tools.bench.results import at_least
from tools.bench.rounds import RoundFailedError
from tools.bench.runner import Figure, Measurement, Scenario

_ROLES = "tools.bench.distributor_roles"
_START_S = 30.0
_ROUND_S = 60.0
_NS = 1e9
_TRIAL = 5000
_GOALS = {"thread-pool": at_least(2)}


class Distributing:
    """A process with a source and targets, idle between rounds.

    Args:
        library: `"colugo"`, or `"thread-pool"`: a `ThreadPoolExecutor.submit` for each message.
        port: of no use: they meet in one process.
        kind: the name of the source and its targets in `distributor_roles`.

    Raises:
        NoAnswerError: if it does not come up.
    """

    def __init__(self, library: str, port: int, *, kind: str) -> None:
        del port
        self._count = _TRIAL
        with ExitStack() as stack:
            self._child = stack.enter_context(Child(_ROLES, library, kind))
            self._child.expect("ready", within=_START_S)
            self._children = stack.pop_all()

    def calibrate(self, seconds: float) -> None:
        """Find out how many messages take so long."""
        self._count = max(1, int(self.rate() * seconds))

    def rate(self) -> float:
        """Send a round of messages.

        Returns:
            Messages per second, until the last is complete at each target that works.

        Raises:
            RoundFailedError: if a message was lost or came out of order.
        """
        try:
            answer = self._child.ask(f"send {self._count}", "sent", within=_ROUND_S)
        except NoAnswerError as error:
            raise RoundFailedError(str(error)) from error
        right, elapsed = map(int, answer)
        if not right:
            raise RoundFailedError(f"not all of {self._count} messages came, in order")
        return self._count * _NS / elapsed

    def close(self) -> None:
        """End the process."""
        self._children.close()


def _distributions(options: Options) -> list[Scenario[Distributing]]:
    seconds = options.duration(1.0)
    return [
        Scenario(
            [one for one in options.libraries(DISTRIBUTES, DISTRIBUTING.name) if one in able],
            partial(Distributing, kind=kind),
            [
                Measurement(
                    caption,
                    lambda distributing, _: (distributing.rate(),),
                    [Figure(goals=_GOALS)],
                    partial(Distributing.calibrate, seconds=seconds),
                )
            ],
        )
        for kind, caption, able in (
            ("generator", "generator to 1 target", ("colugo", "thread-pool")),
            ("websocket", "WebSocket to 3 targets", ("colugo",)),
            ("beside", "the same beside 3 bad ones", ("colugo",)),
        )
    ]


DISTRIBUTING = Benchmark(
    "distributor",
    "Messages per second from a source through the threads of its targets, each with its `on_complete`. "
    "Of the bad targets one hangs, one raises each time, and one has a full queue.",
    DISTRIBUTES,
    5,
    _distributions,
)
