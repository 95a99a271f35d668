"""What the demo has seen so far: facts only, no clock and no sockets."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from colugo.cli.demo.messages import CLIENT, Event, Report, SlowOutcome

NS_PER_MS = 1_000_000
_MAX_NOTES = 2000


@dataclass(slots=True)
class Flow:
    """The readings of one topic that have arrived.

    Attributes:
        received: how many.
        lost: how many of the publisher's numbers were skipped.
        delays_ms: how long each was on its way.
        latest: the last one.
        before: the one before that.
        at_ns: when the last one was sent, nanoseconds since 1970.
        before_ns: when the one before that was.
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
        """Take in a reading."""
        if self._next is not None:
            self.lost += max(0, sequence - self._next)
        self._next = sequence + 1
        self.received += 1
        self.delays_ms.append((now_ns - sent_ns) / NS_PER_MS)
        self.before, self.before_ns = self.latest, self.at_ns
        self.latest, self.at_ns = reading, sent_ns


@dataclass(frozen=True, slots=True)
class Note:
    """Something to tell the person who watches.

    Attributes:
        at_ns: when it happened, nanoseconds since 1970.
        kind: one word.
        text: the rest.
    """

    at_ns: int
    kind: str
    text: str


@dataclass(slots=True)
class Record:
    """Everything the demo knows; all times in nanoseconds since 1970.

    Attributes:
        started_ns: when the demo began.
        pids: process id of each node that was started.
        born_ns: when each node was made, by its own account.
        found_ns: when the demo was connected to each node.
        found_by_client_ns: when the client was connected to each server.
        gone_ns: when the demo saw the connection to each node end.
        gone_by_client_ns: when the client saw the connection to each server end.
        sockets: what is advertised by each node, as `kind topic`.
        flows: the readings, by topic.
        requests: how each of the client's requests ended.
        late_replies: the client's replies that came too late.
        slow: how the slow request ended.
        slow_asked_ns: when it was asked for.
        killed_ns: when the victim was killed.
        closing_ns: when the nodes were told to end.
        exits: exit status of each process that has ended, negative for a signal.
        troubles: what went wrong, in sentences.
        notes: what there is to tell, oldest first.
    """

    started_ns: int
    pids: dict[str, int] = field(default_factory=dict)
    born_ns: dict[str, int] = field(default_factory=dict)
    found_ns: dict[str, int] = field(default_factory=dict)
    found_by_client_ns: dict[str, int] = field(default_factory=dict)
    gone_ns: dict[str, int] = field(default_factory=dict)
    gone_by_client_ns: dict[str, int] = field(default_factory=dict)
    sockets: dict[str, list[str]] = field(default_factory=dict)
    flows: dict[str, Flow] = field(default_factory=dict)
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
        """Add something to tell; beyond a bound it is left out, so that a flood cannot fill the memory."""
        if len(self.notes) < _MAX_NOTES:
            self.notes.append(Note(at_ns, kind, text))

    def trouble(self, at_ns: int, text: str) -> None:
        """Add something that went wrong."""
        self.troubles.append(text)
        self.note(at_ns, "trouble", text)

    def on_report(self, sender: str, report: Report) -> None:
        """Take in what a node says."""
        about, at_ns = report.about, report.at_ns
        match report.event:
            case Event.JOINED:
                self.born_ns[sender] = at_ns
            case Event.CONNECTED if about not in self.found_by_client_ns:
                self.found_by_client_ns[about] = at_ns
                self.note(at_ns, "found", f"{about} by the {sender}")
            case Event.DISCONNECTED if about not in self.gone_by_client_ns:
                self.gone_by_client_ns[about] = at_ns
                self.note(at_ns, "lost", f"{about}, says the {sender}")
            case Event.ANSWERED | Event.FAILED:
                self._on_request(report)

    def answers(self, since_ns: int | None = 0, until_ns: int | None = None) -> Counter[str]:
        """How many requests each server has answered in a span of time.

        Args:
            since_ns: None if the span has not begun.
            until_ns: None if it has not ended.
        """
        return Counter(
            report.about for report in self.within(since_ns, until_ns) if report.event is Event.ANSWERED
        )

    def within(self, since_ns: int | None = 0, until_ns: int | None = None) -> Iterator[Report]:
        """The requests that ended in a span of time, those after the nodes were told to end left out."""
        ends = [end for end in (until_ns, self.closing_ns) if end is not None]
        if since_ns is not None:
            for report in self.requests:
                if since_ns <= report.at_ns and all(report.at_ns < end for end in ends):
                    yield report

    def _on_request(self, report: Report) -> None:
        self.requests.append(report)
        if report.event is Event.FAILED:
            self.note(report.at_ns, "failed", f"a request of the {CLIENT}: {report.detail}")
            return
        if self.answers()[report.about] == 1:
            self.note(report.at_ns, "answer", f"{report.about}: {report.detail} ({report.elapsed_ms:.1f} ms)")
        if report.late > self.late_replies:
            self.late_replies = report.late
            self.note(report.at_ns, "dropped", "the slow reply, which came too late")
