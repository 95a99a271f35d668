"""How long messages are on their way at a fixed rate."""

from tools.bench.benchmark import Benchmark, Options
from tools.bench.flow import Flow, Shape
from tools.bench.libraries import MESSAGES
from tools.bench.peers.network import Network
from tools.bench.results import at_most
from tools.bench.runner import Figure, Measurement, Scenario

_ROUND_S = 3.0
_TICKS_PER_S = 1000
_PER_TICK = 10
_BYTES = 64


def _latency(options: Options) -> list[Scenario[Flow]]:
    def start(library: str, port: int) -> Flow:
        return Flow(library, Network(port), Shape(timed=True))

    ticks = int(options.duration(_ROUND_S) * _TICKS_PER_S)
    return [
        Scenario(
            options.libraries(MESSAGES, LATENCY.name),
            start,
            [
                Measurement(
                    f"{_BYTES} B",
                    lambda flow, _: flow.latencies(_BYTES, ticks, _PER_TICK),
                    [Figure("p50"), Figure("p99", {"pyzmq-asyncio": at_most(1)})],
                )
            ],
        )
    ]


LATENCY = Benchmark(
    "latency",
    "Microseconds from sending to receipt, at 10,000 messages a second; a value is that of a round.",
    MESSAGES,
    5,
    _latency,
)
