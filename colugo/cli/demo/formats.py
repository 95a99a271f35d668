"""Formatting of the demo's values."""

from collections.abc import Callable
from statistics import median
from typing import Any

from colugo.cli.demo.demo_messages import LOAD, MEMORY, NETWORK
from colugo.cli.demo.record import MessageFlow, Record, milliseconds

NS_PER_S = 1_000_000_000
_STEP = 1000
_PRECISE = 10
_GIB = 1024**3
_UNITS = ("B", "kB", "MB", "GB", "TB")
_LAST = 20


def amount(count: float) -> str:
    """Format a number of bytes, such as `1.2 kB` or `104 kB`."""
    unit = _UNITS[0]
    for larger in _UNITS[1:]:
        if count < _STEP:
            break
        count, unit = count / _STEP, larger
    return f"{count:.1f} {unit}" if count < _PRECISE and unit != _UNITS[0] else f"{count:.0f} {unit}"


def _load(flow: MessageFlow) -> str:
    load = flow.latest
    return f"{load.one:.2f}  {load.five:.2f}  {load.fifteen:.2f}"


def _memory(flow: MessageFlow) -> str:
    memory = flow.latest
    return f"{memory.used / _GIB:.2f} of {memory.total / _GIB:.2f} GiB"


def _network(flow: MessageFlow) -> str:
    if flow.before is None or flow.at_ns <= flow.before_ns:
        return f"↓{amount(flow.latest.received)} ↑{amount(flow.latest.sent)}"
    elapsed_s = (flow.at_ns - flow.before_ns) / NS_PER_S
    received, sent = (
        amount((after - before) / elapsed_s)
        for after, before in (
            (flow.latest.received, flow.before.received),
            (flow.latest.sent, flow.before.sent),
        )
    )
    return f"↓{received}/s ↑{sent}/s"


READINGS: dict[str, tuple[str, Callable[[MessageFlow], str]]] = {
    LOAD: ("load", _load),
    MEMORY: ("memory", _memory),
    NETWORK: ("network", _network),
}
"""By topic: the name of the reading, and the format of its latest value."""


def readings(record: Record) -> list[tuple[str, str, MessageFlow]]:
    """List the name, value and flow of each reading that has arrived."""
    return [
        (name, value(record.flows[topic]), record.flows[topic])
        for topic, (name, value) in READINGS.items()
        if topic in record.flows
    ]


def typical_ms(times_ms: list[Any]) -> str:
    """Format the median of the latest times, such as `0.4 ms`."""
    return milliseconds(median(times_ms[-_LAST:])) if times_ms else ""
