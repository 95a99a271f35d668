"""What the processes of the demo are called, and what they send each other."""

from dataclasses import dataclass
from enum import StrEnum

MONITOR = "monitor"
CLIENT = "client"
FIRST_SERVERS = ("server-a", "server-b", "server-c")
VICTIM = "server-b"
"""The server that is killed."""
LATE_SERVER = "server-d"
"""The server that is added when all others talk already."""
FIRST_NODES = (MONITOR, *FIRST_SERVERS, CLIENT)

LOAD = "machine.load"
MEMORY = "machine.memory"
NETWORK = "machine.network"
FACTORS = "factors"
SLOW_REQUEST = "client.slow"

SLOW_TIMEOUT_MS = 400
NAP_MS = 900
"""How long a server takes over the slow request: longer than its client waits."""


def report_topic(name: str) -> str:
    """The topic on which a node of the demo reports."""
    return f"report.{name}"


ALL_REPORTS = report_topic("*")


@dataclass(frozen=True, slots=True)
class Load:
    """How many processes wanted to run, on average over the last minutes."""

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
    """Bytes that all network interfaces have received and sent since the machine started."""

    received: int
    sent: int


class DemoEvent(StrEnum):
    """What a node reports."""

    JOINED = "joined"
    CONNECTED = "connected"
    DISCONNECTED = "disconnected"
    ANSWERED = "answered"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Report:
    """What a node of the demo has seen.

    Attributes:
        event: what happened.
        about: the node it happened to, or the one that did it.
        at_ns: when, nanoseconds since 1970.
        elapsed_ms: how long it took.
        detail: what a person may want to read.
        late: of the client: how many replies have come too late so far.
    """

    event: DemoEvent
    about: str
    at_ns: int
    elapsed_ms: float = 0.0
    detail: str = ""
    late: int = 0


@dataclass(frozen=True, slots=True)
class SlowOutcome:
    """How the slow request ended, and the one after it.

    Attributes:
        error: name of the exception's class; empty if there was a reply.
        detail: the exception's text.
        elapsed_ms: how long it took.
        next_server: who answered the next request.
        next_elapsed_ms: how long that took.
    """

    error: str
    detail: str
    elapsed_ms: float
    next_server: str
    next_elapsed_ms: float
