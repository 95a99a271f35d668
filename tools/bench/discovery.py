"""How soon sockets find each other: a new one in a running network, and a new process that joins one."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from tools.bench.benchmark import Benchmark, Options
from tools.bench.discovery_roles import ROUND_S
from tools.bench.libraries import DISCOVERY, OWN
from tools.bench.peers.network import Network
from tools.bench.processes import Child, NoAnswerError
from tools.bench.results import Goal
from tools.bench.rounds import RoundFailedError
from tools.bench.runner import Figure, Measurement, Scenario

MEMBERS = 5
_START_S = 30.0
_NS_IN_MS = 1e6
_ROLES = "tools.bench.discovery_roles"


class NewSocket:
    """Two processes that know each other; one adds a publisher for which the other waits.

    A round lasts from the call of `add_publisher` to the other side's `on_connect`. Each has a topic of
    its own, and what it added is closed after it.

    Args:
        library: what the processes use.
        port: of their network.
    """

    def __init__(self, library: str, port: int) -> None:
        network = str(Network(port))
        with ExitStack() as stack:
            self._watcher = stack.enter_context(Child(_ROLES, "watch", library, network))
            self._announcer = stack.enter_context(Child(_ROLES, "announce", library, network))
            for child in (self._watcher, self._announcer):
                child.expect("ready", within=_START_S)
            # once without measuring: the two have to know each other
            self._measure("warm.up")
            self._children = stack.pop_all()

    def measure(self, number: int) -> tuple[float]:
        """Measure a round, in milliseconds.

        Raises:
            RoundFailedError: if `on_connect` does not come in time.
        """
        try:
            return (self._measure(f"round.{number}"),)
        except NoAnswerError as error:
            raise RoundFailedError(str(error)) from error

    def close(self) -> None:
        """End the processes."""
        self._children.close()

    def _measure(self, topic: str) -> float:
        self._watcher.ask(f"watch {topic}", "watching", topic, within=ROUND_S)
        try:
            (began,) = self._announcer.ask(f"open {topic}", "opened", topic, within=ROUND_S)
            (ended,) = self._watcher.expect("connected", topic, within=ROUND_S)
        finally:
            for child in (self._announcer, self._watcher):
                child.ask("close", "closed", within=ROUND_S)
        return (int(ended) - int(began)) / _NS_IN_MS


class NewProcess:
    """A fresh process that joins five others, each of which publishes every millisecond and reads another.

    A round lasts from the making of its node, with all imports done, to its first message. Between
    rounds the five are silent, so that they take no time from other libraries' rounds.

    Args:
        library: what the processes use.
        port: of their network.
    """

    def __init__(self, library: str, port: int) -> None:
        network = str(Network(port))
        self._library = library
        self._network = network
        with ExitStack() as stack:
            self._members = [
                stack.enter_context(
                    Child(_ROLES, "member", library, network, _topic(number), _topic(number + 1))
                )
                for number in range(MEMBERS)
            ]
            for child in self._members:
                child.expect("ready", within=_START_S)
            self._children = stack.pop_all()

    def measure(self, number: int) -> tuple[float]:
        """Measure a round, in milliseconds.

        Raises:
            RoundFailedError: if there is no message in time, or the process fails.
        """
        try:
            with self._all_sending(), self._joining(number) as child:
                (took,) = child.expect("heard", within=_START_S + ROUND_S)
        except NoAnswerError as error:
            raise RoundFailedError(str(error)) from error
        return (int(took) / _NS_IN_MS,)

    def close(self) -> None:
        """End the processes."""
        self._children.close()

    def _joining(self, number: int) -> Child:
        return Child(_ROLES, "join", self._library, self._network, _topic(number))

    @contextmanager
    def _all_sending(self) -> Iterator[None]:
        self._tell_all("go", "going")
        try:
            yield
        finally:
            self._tell_all("close", "closed")

    def _tell_all(self, word: str, answer: str) -> None:
        for child in self._members:
            child.tell(word)
        for child in self._members:
            child.expect(answer, within=ROUND_S)


def _topic(number: int) -> str:
    return f"member.{number % MEMBERS}"


def _discovery(options: Options) -> list[Scenario[Any]]:
    chosen = options.libraries(DISCOVERY, FINDING.name)
    return [
        Scenario(chosen, NewSocket, [_times("new socket", Goal("p50", "most", 10))]),
        Scenario(
            chosen,
            NewProcess,
            [_times("new process", Goal("p50", "most", 15), Goal("p99", "most", 200))],
        ),
    ]


def _times(name: str, *goals: Goal) -> Measurement[Any]:
    return Measurement(name, lambda running, number: running.measure(number), [Figure(goals={OWN: goals})])


FINDING = Benchmark(
    "discovery",
    "Milliseconds until a new socket of a running network, and a new process, have found their peers.",
    DISCOVERY,
    100,
    _discovery,
)
