"""How soon a thousand publishers of one node are known elsewhere, and what they take."""

from tools.bench.benchmark import Benchmark, Options
from tools.bench.libraries import OWN, TOPICS
from tools.bench.peers.network import Network
from tools.bench.processes import Child, NoAnswerError
from tools.bench.results import Goal
from tools.bench.rounds import RoundFailedError
from tools.bench.runner import Figure, Measurement, Scenario

_ROLES = "tools.bench.node_roles"
_PUBLISHERS = 1000
_FILES = 1024
_START_S = 30.0
_FOUND_S = 40.0
_NS = 1e9


class Crowd:
    """A fresh process with many publishers each round, another with one, and a third that finds them.

    Args:
        library: what they use.
        port: of their network.
    """

    def __init__(self, library: str, port: int) -> None:
        self._library = library
        self._network = str(Network(port))

    def measure(self, number: int) -> tuple[float, float]:
        """Measure a round.

        Returns:
            Seconds from the making of the node until another process knows all its publishers, and kilobytes
            of resident memory of each, beyond those of a process with one.

        Raises:
            RoundFailedError: if they are not all found.
        """
        try:
            with Child(_ROLES, "lookout", self._library, self._network) as lookout:
                lookout.expect("ready", within=_START_S)
                _, one = self._up(lookout, f"single.{number}", 1)
                took, all_of_them = self._up(lookout, f"many.{number}", _PUBLISHERS)
        except NoAnswerError as error:
            raise RoundFailedError(str(error)) from error
        return took, (all_of_them - one) / (_PUBLISHERS - 1) / 1e3

    def close(self) -> None:
        """Nothing: no process outlives its round."""

    def _up(self, lookout: Child, prefix: str, count: int) -> tuple[float, int]:
        lookout.tell(f"await {prefix} {count}")
        arguments = ("crowd", self._library, self._network, prefix, str(count), str(_FILES))
        with Child(_ROLES, *arguments) as crowd:
            (began,) = crowd.expect("up", within=_START_S)
            known, ended = lookout.expect("known", within=_FOUND_S)
            (memory,) = crowd.ask("memory", "memory", within=_START_S)
        if int(known) != count:
            raise RoundFailedError(f"only {known} of {count} publishers were found")
        return (int(ended) - int(began)) / _NS, int(memory)


def _topics(options: Options) -> list[Scenario[Crowd]]:
    goals = {
        "s": Goal("p50", "most", 3),
        "kB": Goal("p50", "most", 60),
    }
    return [
        Scenario(
            options.libraries(TOPICS, CROWD.name),
            Crowd,
            [
                Measurement(
                    f"{_PUBLISHERS} topics",
                    lambda crowd, number: crowd.measure(number),
                    [Figure(name, {OWN: (goal,)}) for name, goal in goals.items()],
                )
            ],
        )
    ]


CROWD = Benchmark(
    "topics",
    "1,000 publishers in one node that may open 1,024 files: seconds from its making until another process "
    "knows them all, and memory of each.",
    TOPICS,
    5,
    _topics,
)
