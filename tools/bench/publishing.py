"""How many messages a second: from one process to another, from one to many, and from many to one."""

from collections.abc import Mapping
from functools import partial

from tools.bench.benchmark import SIZES, Benchmark, Options
from tools.bench.flow import Flow, Shape
from tools.bench.libraries import IPC, MESSAGES
from tools.bench.peers.network import Hub, Network, Transport
from tools.bench.results import Goal, at_least
from tools.bench.runner import Figure, Measurement, Scenario

_ROUND_S = 1.0
_ROUNDS = 5
_FAN_BYTES = 64
_TCP_GOALS: dict[str, dict[str, tuple[Goal, ...]]] = {
    "64 B": {"pyzmq": at_least(3.5), "zenoh": at_least(3)},
    "1 KiB": {"pyzmq": at_least(1.5), "zenoh": at_least(2)},
    "64 KiB": {"pyzmq": at_least(0.95)},
    "1 MiB": {"pyzmq": at_least(0.95)},
}
_FAN_GOALS = {"pyzmq": at_least(2)}


def _pubsub(options: Options) -> list[Scenario[Flow]]:
    return [_over(transport, options) for transport in options.transports]


def _over(transport: Transport, options: Options) -> Scenario[Flow]:
    def start(library: str, port: int) -> Flow:
        return Flow(library, Network(port, transport), Shape())

    seconds = options.duration(_ROUND_S)
    goals = _TCP_GOALS if transport == "tcp" else {}
    return Scenario(
        options.libraries(MESSAGES if transport == "tcp" else IPC, PUBSUB.name),
        start,
        [
            _throughput(f"{size} {transport}", SIZES[size], seconds, goals.get(size, {}))
            for size in options.sizes
        ],
    )


def _fan(shape: Shape, hub: Hub, benchmark: str, options: Options) -> list[Scenario[Flow]]:
    def start(library: str, port: int) -> Flow:
        return Flow(library, Network(port, hub=hub), shape)

    name = f"{shape.publishers}→{shape.subscribers}, {_FAN_BYTES} B"
    seconds = options.duration(_ROUND_S)
    return [
        Scenario(
            options.libraries(MESSAGES, benchmark),
            start,
            [_throughput(name, _FAN_BYTES, seconds, _FAN_GOALS)],
        )
    ]


def _throughput(
    name: str, size: int, seconds: float, goals: Mapping[str, tuple[Goal, ...]]
) -> Measurement[Flow]:
    return Measurement(
        name,
        lambda flow, _: (flow.rate(size),),
        [Figure(goals=goals, message_bytes=size)],
        partial(Flow.calibrate, size=size, seconds=seconds),
    )


def _fan_out(options: Options) -> list[Scenario[Flow]]:
    return _fan(Shape(subscribers=options.fan), "publisher", FAN_OUT.name, options)


def _fan_in(options: Options) -> list[Scenario[Flow]]:
    return _fan(Shape(publishers=options.fan), "subscriber", FAN_IN.name, options)


PUBSUB = Benchmark("pubsub", "Messages per second from one process to another.", MESSAGES, _ROUNDS, _pubsub)
FAN_OUT = Benchmark(
    "fan-out",
    "Messages per second from one process to several, all that are received added up; over tcp.",
    MESSAGES,
    _ROUNDS,
    _fan_out,
)
FAN_IN = Benchmark(
    "fan-in", "Messages per second from several processes to one, over tcp.", MESSAGES, _ROUNDS, _fan_in
)
