"""The record of everything the demo has observed, without clock or sockets."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from colugo import Advertisement
from colugo.cli.demo.demo_messages import CLIENT, VICTIM, DemoEvent, Report, SlowOutcome

NS_PER_MS = 1_000_000
_MAX_NOTES = 2000
_PRECISE_MS = 100


def milliseconds(value: float) -> str:
    """Format a time in milliseconds, such as `0.4 ms` or `1012 ms`."""
    return f"{value:.1f} ms" if value < _PRECISE_MS else f"{value:.0f} ms"


@dataclass(slots=True)
class MessageFlow:
    """The readings of one topic that have arrived.

    Attributes:
        lost: the number of skipped sequence numbers.
        delays_ms: the time that each reading took to arrive.
        before: the reading before the latest.
        at_ns: when the latest was sent, in nanoseconds since 1970.
    """

    received: int = 0
    lost: int = 0
    delays_ms: list[float] = field(default_factory=list)
    latest: Any = None
    before: Any = None
    at_ns: int = 0
    before_ns: int = 0
    _next: int | None = None

    def add(self, reading: Any, sequence: int, sent_ns: int, now_ns: int) -> None:
        """Add a reading."""
        if self._next is not None:
            self.lost += max(0, sequence - self._next)
        self._next = sequence + 1
        self.received += 1
        self.delays_ms.append((now_ns - sent_ns) / NS_PER_MS)
        self.before, self.before_ns = self.latest, self.at_ns
        self.latest, self.at_ns = reading, sent_ns


class Note(NamedTuple):
    """An event to show to the user; its kind is one word, its time in nanoseconds since 1970."""

    at_ns: int
    kind: str
    text: str


@dataclass(slots=True)
class Record:
    """All observations of the demo; times are in nanoseconds since 1970.

    Attributes:
        born_ns: when each node was created, as it reports.
        found_ns: when the demo connected to each node.
        found_by_client_ns: when the client connected to each server.
        gone_ns: when the demo lost the connection to each node.
        gone_by_client_ns: when the client lost the connection to each server.
        sockets: the sockets that are advertised now, by socket id.
        requests: the outcome of each of the client's requests.
        late_replies: the number of replies that the client received too late.
        closing_ns: when the demo began to stop the nodes.
        exits: the exit status of each process that has exited, negative for a signal.
        troubles: the failures, in sentences.
    """

    started_ns: int
    pids: dict[str, int] = field(default_factory=dict)
    born_ns: dict[str, int] = field(default_factory=dict)
    found_ns: dict[str, int] = field(default_factory=dict)
    found_by_client_ns: dict[str, int] = field(default_factory=dict)
    gone_ns: dict[str, int] = field(default_factory=dict)
    gone_by_client_ns: dict[str, int] = field(default_factory=dict)
    sockets: dict[bytes, Advertisement] = field(default_factory=dict)
    flows: dict[str, MessageFlow] = field(default_factory=dict)
    requests: list[Report] = field(default_factory=list)
    late_replies: int = 0
    slow: SlowOutcome | None = None
    slow_asked_ns: int | None = None
    killed_ns: int | None = None
    closing_ns: int | None = None
    exits: dict[str, int] = field(default_factory=dict)
    troubles: list[str] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)

    def note(self, at_ns: int, kind: str, text: str) -> None:
        """Add an event to show; beyond a bound, drop it to limit memory."""
        if len(self.notes) < _MAX_NOTES:
            self.notes.append(Note(at_ns, kind, text))

    def trouble(self, at_ns: int, text: str) -> None:
        """Add a failure."""
        self.troubles.append(text)
        self.note(at_ns, "trouble", text)

    def update_sockets(self, advertised: list[Advertisement], now_ns: int) -> None:
        """Replace the advertised sockets, and note the changes."""
        now = {socket.socket_id: socket for socket in advertised}
        for key, socket in now.items():
            if key not in self.sockets:
                self.note(now_ns, "discovered", _describe(socket))
        for key, socket in self.sockets.items():
            if key not in now and self.closing_ns is None:
                self.note(now_ns, "withdrawn", _describe(socket))
        self.sockets = now

    def on_report(self, sender: str, report: Report) -> None:
        """Add a report from a node."""
        about, at_ns = report.about, report.at_ns
        match report.event:
            case DemoEvent.JOINED:
                self.born_ns[sender] = at_ns
                found_ns = self.found_ns.setdefault(sender, at_ns)
                self.note(found_ns, "found", f"{sender} by demo{_in_ms(at_ns, found_ns)}")
            case DemoEvent.CONNECTED if about not in self.found_by_client_ns:
                self.found_by_client_ns[about] = at_ns
                born_ns = [self.born_ns[name] for name in (about, sender) if name in self.born_ns]
                both_there_ns = max(born_ns) if len(born_ns) == 2 else None  # noqa: PLR2004 - both
                self.note(at_ns, "found", f"{about} by {sender}{_in_ms(both_there_ns, at_ns)}")
            case DemoEvent.DISCONNECTED if about not in self.gone_by_client_ns:
                self.gone_by_client_ns[about] = at_ns
                self._note_end(about, sender, at_ns)
            case DemoEvent.ANSWERED | DemoEvent.FAILED:
                self._on_request(report)

    def on_gone(self, name: str, now_ns: int) -> None:
        """Note that the demo has lost its connection to a node."""
        if name not in self.gone_ns:
            self.gone_ns[name] = now_ns
            self._note_end(name, "demo", now_ns)

    def answers(self, since_ns: int | None = 0, until_ns: int | None = None) -> Counter[str]:
        """Count the requests that each server answered in a period; see `within`."""
        return Counter(
            report.about for report in self.within(since_ns, until_ns) if report.event is DemoEvent.ANSWERED
        )

    def within(self, since_ns: int | None = 0, until_ns: int | None = None) -> Iterator[Report]:
        """Yield the requests that ended in a period, and before the demo began to stop the nodes.

        `since_ns` is None if the period has not started, `until_ns` if it has not ended.
        """
        ends = [end for end in (until_ns, self.closing_ns) if end is not None]
        if since_ns is not None:
            for report in self.requests:
                if since_ns <= report.at_ns and all(report.at_ns < end for end in ends):
                    yield report

    def _note_end(self, name: str, seen_by: str, at_ns: int) -> None:
        if self.closing_ns is None:
            killed_ns = self.killed_ns if name == VICTIM else None
            self.note(at_ns, "lost", f"{name} by {seen_by}{_in_ms(killed_ns, at_ns)}")

    def _on_request(self, report: Report) -> None:
        first = not any(before.about == report.about for before in self.requests)
        self.requests.append(report)
        if report.event is DemoEvent.FAILED:
            self.note(report.at_ns, "failed", f"a request from the {CLIENT}: {report.detail}")
            return
        if first:
            self.note(report.at_ns, "answer", f"{report.about}: {report.detail} ({report.elapsed_ms:.1f} ms)")
        if report.late > self.late_replies:
            self.late_replies = report.late
            self.note(report.at_ns, "dropped", "the late reply to the slow request")


def _describe(socket: Advertisement) -> str:
    return f"{socket.kind} {socket.topic} of {socket.node}, port {socket.port}"


def _in_ms(since_ns: int | None, at_ns: int) -> str:
    return "" if since_ns is None else f" in {milliseconds((at_ns - since_ns) / NS_PER_MS)}"
