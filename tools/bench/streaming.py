"""How many messages a second are stored, handed out and acknowledged."""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

from tools.bench.benchmark import Benchmark, Options
from tools.bench.libraries import OWN, STREAMS, broker
from tools.bench.peers.network import Network
from tools.bench.processes import Child, NoAnswerError
from tools.bench.results import Goal, at_least
from tools.bench.rounds import RoundFailedError
from tools.bench.runner import Figure, Measurement, Scenario

_ROLES = "tools.bench.stream_roles"
_BYTES = 200
_START_S = 60.0
_STALL_S = 5.0
_ANSWER_S = 30.0
_TRIAL = 500
_TRIAL_S = 0.2
# A stream's own limit is a million.
_MOST = 500_000
_NS = 1e9
_STORED_GOALS = {"rabbitmq": at_least(10), "jetstream-sync": at_least(5)}
_MEMORY_GOALS = {OWN: (Goal("p50", "least", 200_000),)}


@dataclass(frozen=True, slots=True)
class Case:
    """A way to send and take messages.

    Attributes:
        name: what the table calls it.
        place: where messages are kept.
        prefetch: how many the consumer may have unacknowledged.
        way: whether the producer has so many unconfirmed at any time, or sends as fast as it goes.
        shared: whether other libraries are measured in it, too.
        goals: as of a Figure.
    """

    name: str
    place: Literal["disk", "memory"]
    prefetch: int
    way: Literal["confirm", "flood"] = "confirm"
    shared: bool = False
    goals: Mapping[str, tuple[Goal, ...]] = field(default_factory=dict)


_CASES = (
    Case("disk 100", "disk", 100, shared=True, goals=_STORED_GOALS),
    Case("disk 1000", "disk", 1000, shared=True, goals=_STORED_GOALS),
    Case("disk flood", "disk", 1000, "flood"),
    Case("RAM 100", "memory", 100),
    Case("RAM 1000", "memory", 1000),
    Case("RAM flood", "memory", 1000, "flood", goals=_MEMORY_GOALS),
)


class Streaming:
    """A producer and a consumer, a process each, and the server where there is one.

    Args:
        library: what they use.
        port: where they meet.
        case: how they are made.

    Raises:
        NoAnswerError: if they do not come up, or do not find each other.
    """

    def __init__(self, library: str, port: int, case: Case) -> None:
        network = Network(port)
        self._count = 0
        self._sent = 0
        with ExitStack() as stack:
            stack.enter_context(broker(library, network))
            self._producer = stack.enter_context(Child(_ROLES, case.way, library, str(network), case.place))
            self._consumer = stack.enter_context(
                Child(_ROLES, "consume", library, str(network), str(case.prefetch))
            )
            for child in (self._producer, self._consumer):
                child.expect("ready", within=_START_S)
            self._children = stack.pop_all()

    def calibrate(self, seconds: float) -> None:
        """Find out how many messages take so long; that many is what `rate` sends from then on."""
        count = _TRIAL
        for trial_s in (min(_TRIAL_S, seconds), seconds):
            count = max(1, min(int(self._send(count) * trial_s), _MOST))
        self._count = count

    def rate(self) -> float:
        """Send a round of messages.

        Returns:
            Messages per second, from the first sending until the last is confirmed and acknowledged.

        Raises:
            RoundFailedError: if anything was lost, doubled or damaged.
        """
        try:
            return self._send(self._count)
        except NoAnswerError as error:
            raise RoundFailedError(str(error)) from error

    def close(self) -> None:
        """End the processes."""
        self._children.close()

    def _send(self, count: int) -> float:
        what = f"{_BYTES} {self._sent} {count}"
        self._sent += count
        self._consumer.ask(f"expect {what}", "expecting", within=_ANSWER_S)
        self._producer.tell(f"send {what}")
        finished = self._finished()
        self._check(count)
        began, ended = map(int, self._producer.expect("sent", within=_ANSWER_S))
        assert finished is not None, "all have come"
        return count * _NS / (max(ended, finished) - began)

    def _finished(self) -> int | None:
        """When the last message was acknowledged; None if no more come, though some are missing."""
        before = -1
        while True:
            try:
                return int(self._consumer.expect("finished", within=_STALL_S)[0])
            except NoAnswerError:
                arrived, _, _ = self._status()
                if arrived == before:
                    return None
                before = arrived

    def _check(self, count: int) -> None:
        """Raise RoundFailedError unless each of so many messages came once, and whole."""
        arrived, doubled, wrong = self._status()
        if arrived < count:
            raise RoundFailedError(f"{count - arrived} of {count} messages lost", lost=count - arrived)
        if doubled:
            raise RoundFailedError(f"{doubled} of {count} messages came more than once")
        if wrong:
            raise RoundFailedError(f"at least {wrong} of {count} messages damaged, or not of this round")

    def _status(self) -> tuple[int, int, int]:
        arrived, doubled, wrong = map(int, self._consumer.ask("status", "status", within=_ANSWER_S))
        return arrived, doubled, wrong


def _streams(options: Options) -> list[Scenario[Streaming]]:
    seconds = options.duration(1.0)
    libraries = options.libraries(STREAMS, STREAMING.name)
    return [
        Scenario(
            libraries if case.shared else [OWN],
            partial(Streaming, case=case),
            [
                Measurement(
                    case.name,
                    lambda streaming, _: (streaming.rate(),),
                    [Figure(goals=case.goals)],
                    partial(Streaming.calibrate, seconds=seconds),
                )
            ],
        )
        for case in _CASES
    ]


STREAMING = Benchmark(
    "streams",
    "Messages of 200 B per second, kept on disk or in memory, from the first sending until the last is "
    "acknowledged. The consumer may have 100 or 1,000 unacknowledged; the producer has 1,000 unconfirmed, or "
    "sends as fast as it goes (flood, to a consumer of 1,000).",
    STREAMS,
    5,
    _streams,
)
