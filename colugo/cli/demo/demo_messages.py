"""The names of the demo's processes, and the messages they exchange."""

from dataclasses import dataclass
from enum import StrEnum

MONITOR = "monitor"
CLIENT = "client"
FIRST_SERVERS = ("server-a", "server-b", "server-c")
VICTIM = "server-b"
"""The server that the demo kills."""
LATE_SERVER = "server-d"
"""The server that the demo adds last."""
FIRST_NODES = (MONITOR, *FIRST_SERVERS, CLIENT)

LOAD = "machine.load"
MEMORY = "machine.memory"
NETWORK = "machine.network"
FACTORS = "factors"
SLOW_REQUEST = "client.slow"

SLOW_TIMEOUT_MS = 400
NAP_MS = 900
"""How long a server takes for the slow request: longer than its client waits."""


def report_topic(name: str) -> str:
    """Return the topic on which a node of the demo reports."""
    return f"report.{name}"


ALL_REPORTS = report_topic("*")


@dataclass(frozen=True, slots=True)
class Load:
    """The load averages of the machine over the last 1, 5 and 15 minutes."""

    one: float
    five: float
    fifteen: float


@dataclass(frozen=True, slots=True)
class Memory:
    """The machine's memory, in bytes."""

    used: int
    total: int


@dataclass(frozen=True, slots=True)
class NetworkLoad:
    """Bytes received and sent on all network interfaces since the machine started."""

    received: int
    sent: int


class DemoEvent(StrEnum):
    """The kind of event that a node reports."""

    JOINED = "joined"
    CONNECTED = "connected"
    DISCONNECTED = "disconnected"
    ANSWERED = "answered"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Report:
    """A report from a node of the demo.

    Attributes:
        about: the other node involved.
        at_ns: the time in nanoseconds since 1970.
        late: the client's number of late replies so far.
    """

    event: DemoEvent
    about: str
    at_ns: int
    elapsed_ms: float = 0.0
    detail: str = ""
    late: int = 0


@dataclass(frozen=True, slots=True)
class SlowOutcome:
    """The outcome of the slow request and of the next one.

    Attributes:
        error: the name of the exception's class; empty if there was a reply.
        detail: the exception's text.
    """

    error: str
    detail: str
    elapsed_ms: float
    next_server: str
    next_elapsed_ms: float
