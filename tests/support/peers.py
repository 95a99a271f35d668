"""Nodes on hosts of a test's own: their commands and timed events."""

import itertools
import json
import os
import signal
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Any, Self

from tests.support.essentials import SCALE, seconds
from tests.support.namespaces import Host

Event = Mapping[str, Any]

FROM, ASK = "from", "ask"
ADVERTISED = 3
"""Of one in the mesh: its publisher, its reply server, and the node's own endpoint."""


class Peer:
    """A `tests.programs.peer` on a host.

    Args:
        host: the host.
        name: of the node.
        scope: its COLUGO_SCOPE.
        env: more of its environment.
        options: of the program.
    """

    def __init__(
        self,
        host: Host,
        name: str,
        *,
        scope: str = "lan",
        env: Mapping[str, str] | None = None,
        **options: Any,
    ) -> None:
        self.host = host
        self.name = name
        self._numbers = itertools.count(1)
        self._parsed = 0
        self.events: list[Event] = []
        arguments = ["-m", "tests.programs.peer", json.dumps({"name": name, **options})]
        self.spawned = time.monotonic()
        self.program = host.program(
            arguments, realm=os.environ["COLUGO_REALM"], scope=scope, env=env, told=True
        )

    def send(self, every_ms: float) -> None:
        """Publish at this rate; 0 to leave off."""
        self._order(do="send", every_ms=every_ms)

    def ask(self, every_ms: float) -> None:
        """Ask at this rate; 0 to leave off."""
        self._order(do="ask", every_ms=every_ms)

    def count(self, within: float = 10.0) -> dict[str, Any]:
        """Its counters now."""
        number = next(self._numbers)
        self._order(do="count", number=number)
        return dict(self.wait("counted", within, number=number))

    def count_until(self, condition: Any, within: float = 15.0) -> dict[str, Any]:
        """Its counters as soon as the condition holds for them."""
        deadline = time.monotonic() + seconds(within)
        while not condition(counted := self.count()):
            assert time.monotonic() < deadline, f"{self.name} after {within} s: {counted}"
            time.sleep(0.02)
        return counted

    def found(self, event: str, since: float = 0.0, **details: Any) -> list[Event]:
        """The events so far with these details."""
        lines = self.program.lines
        for line in lines[self._parsed :]:
            if line.startswith('{"t": '):
                self.events.append(json.loads(line))
            self._parsed += 1
        return [
            one
            for one in self.events
            if one["event"] == event
            and one["t"] >= since
            and all(one[name] == value for name, value in details.items())
        ]

    def wait(
        self, event: str, within: float = 15.0, *, since: float = 0.0, nth: int = 1, **details: Any
    ) -> Event:
        """Return the first such event, or the n-th; if there is none in time, fail with what it has said."""
        deadline = time.monotonic() + seconds(within)
        while len(found := self.found(event, since, **details)) < nth:
            if time.monotonic() > deadline or self.program.ended:
                said = "\n".join(self.program.lines[-60:])
                raise AssertionError(
                    f"{self.name}: not {nth} times {event} {details} since {since} within {within} s:\n{said}"
                )
            time.sleep(0.002)
        return found[nth - 1]

    def kill(self) -> float:
        """Send SIGKILL; when that was."""
        now = time.monotonic()
        self.program.signal(signal.SIGKILL)
        return now

    def stop(self) -> None:
        """End it by SIGINT, cleanly."""
        assert self.program.interrupt() == 0, "\n".join(self.program.lines)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.program.__exit__(kind, error, traceback)

    def _order(self, **order: Any) -> None:
        self.program.tell(json.dumps(order))


def in_mesh(host: Host, name: str, **options: Any) -> Peer:
    """One that publishes to all, hears all, serves all and asks all, itself included."""
    return Peer(host, name, publish=f"{FROM}.{name}", subscribe=f"{FROM}.#", serve=ASK, ask=ASK, **options)


@contextmanager
def meshed(hosts: Iterable[Host], **options: Any) -> Iterator[list[Peer]]:
    """One on each host, named a, b, c …, when all are connected with all."""
    with ExitStack() as stack:
        peers = [
            stack.enter_context(in_mesh(host, chr(ord("a") + number), **options))
            for number, host in enumerate(hosts)
        ]
        for peer in peers:
            for other in peers:
                for kind in ("pub", "rep"):
                    peer.wait("connected", kind=kind, peer=other.name)
        yield peers


def timely(value: float, limit: float) -> bool:
    """Return True if a time is within the promised limit, scaled as `seconds` is."""
    return value <= limit * max(1.0, SCALE)


def settle(reader: Peer, sender: Peer) -> None:
    """Of all that was sent since the reader has joined, it knows what is lost, as a number."""
    sender.send(0)
    sent = sender.count()["publisher"]["sent"]
    first = int(reader.found("heard", peer=sender.name)[0]["number"])
    assert first == 1

    def accounted(counted: dict[str, dict[str, dict[str, int]]]) -> bool:
        stream = counted["streams"][sender.name]
        return bool(stream["received"] + stream["lost"] == sent)

    counted = reader.count_until(accounted, 20)
    print(f"{reader.name} of {sent} of {sender.name}: {counted['streams'][sender.name]}")
    assert counted["subscriber"]["unknown"] == counted["subscriber"]["malformed"] == 0
    lost = reader.found("lost", peer=sender.name)
    assert sum(event["count"] for event in lost) == counted["streams"][sender.name]["lost"]
