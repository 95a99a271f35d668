"""The processor time of an idle node."""

import time
from contextlib import ExitStack

from tools.bench.benchmark import Benchmark, Options
from tools.bench.libraries import DISCOVERY
from tools.bench.peers.network import Network
from tools.bench.processes import Child, NoAnswerError
from tools.bench.results import Goal
from tools.bench.rounds import RoundFailedError
from tools.bench.runner import Figure, Measurement, Scenario

_ROLES = "tools.bench.node_roles"
_SOCKETS = 100
_START_S = 30.0
_ANSWER_S = 5.0
_SETTLE_S = 1.0
_ROUND_S = 3.0
_NS = 1e9
_GOAL = Goal("p50", "most", 0.5)


class Idle:
    """Two processes, each of 50 publishers and of 50 subscribers of the other's.

    Args:
        library: what they use.
        port: of their network.

    Raises:
        NoAnswerError: if they do not all find each other.
    """

    def __init__(self, library: str, port: int) -> None:
        network = str(Network(port))
        with ExitStack() as stack:
            children = [
                stack.enter_context(Child(_ROLES, "populate", library, network, own, other, str(_SOCKETS)))
                for own, other in (("left", "right"), ("right", "left"))
            ]
            for child in children:
                child.expect("ready", within=_START_S)
            self._child = children[0]
            self._children = stack.pop_all()
        time.sleep(_SETTLE_S)

    def measure(self, seconds: float) -> tuple[float]:
        """How much of one core one of the two takes, in percent, over that time.

        Raises:
            RoundFailedError: if it does not answer.
        """
        try:
            before, began = self._cpu(), time.monotonic()
            time.sleep(seconds)
            after, ended = self._cpu(), time.monotonic()
        except NoAnswerError as error:
            raise RoundFailedError(str(error)) from error
        return (100 * (after - before) / _NS / (ended - began),)

    def close(self) -> None:
        """End the processes."""
        self._children.close()

    def _cpu(self) -> int:
        return int(self._child.ask("cpu", "cpu", within=_ANSWER_S)[0])


def _idle(options: Options) -> list[Scenario[Idle]]:
    seconds = options.duration(_ROUND_S)
    return [
        Scenario(
            options.libraries(DISCOVERY, IDLE.name),
            Idle,
            [
                Measurement(
                    f"{_SOCKETS} sockets",
                    lambda idle, _: idle.measure(seconds),
                    [Figure(goals={"colugo": (_GOAL,)})],
                )
            ],
        )
    ]


IDLE = Benchmark(
    "idle",
    "Percent of one core that an idle process takes, with 50 publishers and 50 subscribers, all connected.",
    DISCOVERY,
    5,
    _idle,
)
