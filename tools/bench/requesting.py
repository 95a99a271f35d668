"""How long a request takes, and how many a second can be answered."""

from functools import partial

from tools.bench.asking import Asking
from tools.bench.benchmark import Benchmark, Options
from tools.bench.libraries import REQUESTS
from tools.bench.peers.network import Network
from tools.bench.results import at_least, at_most
from tools.bench.runner import Figure, Measurement, Scenario

_BYTES = 64
_ROUNDS = 5
_ROUND_S = 1.0
# the approximate maximum
_TRIPS_PER_S = 2500
_IN_FLIGHT = (1, 10, 100, 1000)
_GOALS = {100: {"zenoh": at_least(10), "nats": at_least(3)}}


def _start(library: str, port: int) -> Asking:
    return Asking(library, Network(port, hub="subscriber"))


def _round_trip(options: Options) -> list[Scenario[Asking]]:
    count = max(1, int(options.duration(_ROUND_S) * _TRIPS_PER_S))
    goals = {"pyzmq": at_most(1.4), "zenoh": at_most(1.2)}
    measurement: Measurement[Asking] = Measurement(
        f"{_BYTES} B",
        lambda asking, _: asking.round_trips(_BYTES, count),
        [Figure("p50", goals), Figure("p99")],
        lambda asking: _warm_up(asking, count),
    )
    return [Scenario(options.libraries(REQUESTS, ROUND_TRIP.name), _start, [measurement])]


def _warm_up(asking: Asking, count: int) -> None:
    asking.round_trips(_BYTES, min(count, 500))


def _requests(options: Options) -> list[Scenario[Asking]]:
    seconds = options.duration(_ROUND_S)
    return [
        Scenario(
            options.libraries(REQUESTS, IN_FLIGHT.name),
            _start,
            [_in_flight(number, seconds) for number in _IN_FLIGHT],
        )
    ]


def _in_flight(number: int, seconds: float) -> Measurement[Asking]:
    return Measurement(
        f"{number} in flight",
        lambda asking, _: (asking.rate(_BYTES, number),),
        [Figure(goals=_GOALS.get(number, {}))],
        partial(Asking.calibrate, size=_BYTES, in_flight=number, seconds=seconds),
    )


ROUND_TRIP = Benchmark(
    "round-trip",
    "Microseconds from a request to its reply, one after another; a value is that of a round.",
    REQUESTS,
    _ROUNDS,
    _round_trip,
)
IN_FLIGHT = Benchmark(
    "requests",
    "Replies per second, with so many requests of 64 B unanswered at any time.",
    REQUESTS,
    _ROUNDS,
    _requests,
)
