"""The expectations of the demo, and their check against the record."""

from collections import Counter
from collections.abc import Callable
from enum import StrEnum
from statistics import median
from typing import NamedTuple

from colugo.cli.demo.demo_messages import (
    CLIENT,
    FIRST_NODES,
    FIRST_SERVERS,
    LATE_SERVER,
    LOAD,
    MEMORY,
    NETWORK,
    SLOW_TIMEOUT_MS,
    VICTIM,
    DemoEvent,
)
from colugo.cli.demo.record import NS_PER_MS, Record, milliseconds
from colugo.errors import PeerLostError, RequestTimeoutError

_FEW = 6
"""Enough messages to judge by."""
_TIMER_MS = 1.0
"""Tolerance: asyncio may fire a timer one clock tick early."""


class ExpectationState(StrEnum):
    """The state of an expectation."""

    WAITING = "waiting"
    OK = "ok"
    FAILED = "failed"


class ExpectationResult(NamedTuple):
    """The state of an expectation, and the value seen so far."""

    what: str
    expected: str
    seen: str
    state: ExpectationState


Outcome = tuple[bool | None, str]
"""True if an expectation holds (None: undecided), and the value so far."""


class Expectation(NamedTuple):
    """An event that should happen: in a few words, with the expected value and a check of the record."""

    what: str
    expected: str
    check: Callable[[Record], Outcome]

    def holds(self, record: Record) -> bool:
        """Return True if the expectation is met."""
        return self.check(record)[0] is True


def _nodes_found(record: Record) -> Outcome:
    waits = [
        record.found_ns[name] - record.born_ns[name]
        for name in FIRST_NODES
        if name in record.found_ns and name in record.born_ns
    ]
    for server in FIRST_SERVERS:
        if server in record.found_by_client_ns and {server, CLIENT} <= record.born_ns.keys():
            both_there = max(record.born_ns[server], record.born_ns[CLIENT])
            waits.append(record.found_by_client_ns[server] - both_there)
    found = record.found_ns.keys() & set(FIRST_NODES)
    seen_by_client = record.found_by_client_ns.keys() & set(FIRST_SERVERS)
    if len(waits) == len(FIRST_NODES) + len(FIRST_SERVERS):
        return True, f"all, within {max(waits) / NS_PER_MS:.0f} ms"
    return None, f"{len(found)} of {len(FIRST_NODES)}; {len(seen_by_client)} servers by the {CLIENT}"


def _readings_flow(record: Record) -> Outcome:
    flows = [record.flows[topic] for topic in (LOAD, MEMORY, NETWORK) if topic in record.flows]
    received = sum(flow.received for flow in flows)
    if not received:
        return None, ""
    lost = sum(flow.lost for flow in flows)
    delay_ms = median(delay for flow in flows for delay in flow.delays_ms)
    seen = f"{received} of {received + lost}, in {milliseconds(delay_ms)}"
    if lost:
        return False, seen
    return True if len(flows) == 3 and received >= _FEW else None, seen  # noqa: PLR2004 - the three above


def _requests_answered(record: Record) -> Outcome:
    requests = list(record.within(until_ns=record.killed_ns))
    answered = [report.elapsed_ms for report in requests if report.event is DemoEvent.ANSWERED]
    if not requests:
        return None, ""
    seen = f"{len(answered)} of {len(requests)}"
    if len(answered) < len(requests):
        return False, seen
    return True if len(requests) >= _FEW else None, f"{seen}, in {milliseconds(median(answered))}"


def _turns_taken(record: Record) -> Outcome:
    return _even(record.answers(until_ns=record.slow_asked_ns), FIRST_SERVERS)


def _slow_timed_out(record: Record) -> Outcome:
    if record.slow is None:
        return None, ""
    slow = record.slow
    timed_out = slow.error == RequestTimeoutError.__name__
    how = "timed out" if timed_out else slow.error or slow.detail
    in_time = slow.elapsed_ms >= SLOW_TIMEOUT_MS - _TIMER_MS
    return timed_out and in_time, f"{how} after {slow.elapsed_ms:.0f} ms"


def _next_worked(record: Record) -> Outcome:
    if record.slow is None:
        return None, ""
    slow, late = record.slow, record.late_replies
    seen = f"in {milliseconds(slow.next_elapsed_ms)}; {late or 'none'} dropped"
    return True if slow.next_server and late == 1 else None, seen


def _kill_noticed(record: Record) -> Outcome:
    return _by_both(record.killed_ns, record.gone_by_client_ns.get(VICTIM), record.gone_ns.get(VICTIM))


def _requests_continued(record: Record) -> Outcome:
    since, until = record.gone_by_client_ns.get(VICTIM), record.found_by_client_ns.get(LATE_SERVER)
    requests = list(record.within(since, until)) if record.killed_ns else []
    answers = record.answers(since, until) if record.killed_ns else Counter()
    failed = sum(report.about == PeerLostError.__name__ for report in requests)
    asked = len(requests) - failed
    if not asked:
        return None, ""
    seen = f"{answers.total()} of {asked}"
    if failed:
        seen += f"; {failed} failed immediately"
    if answers.total() < asked or VICTIM in answers:
        return False, seen
    return True if asked >= _FEW else None, seen


def _late_found(record: Record) -> Outcome:
    return _by_both(
        record.born_ns.get(LATE_SERVER),
        record.found_by_client_ns.get(LATE_SERVER),
        record.found_ns.get(LATE_SERVER),
    )


def _late_shares(record: Record) -> Outcome:
    first = next((report.at_ns for report in record.requests if report.about == LATE_SERVER), None)
    sharing = [name for name in (*FIRST_SERVERS, LATE_SERVER) if name != VICTIM]
    return _even(record.answers(since_ns=first), sharing)


def _all_ended(record: Record) -> Outcome:
    if record.closing_ns is None:
        return None, ""
    survivors = [name for name in record.pids if name != VICTIM or record.killed_ns is None]
    well = sum(record.exits.get(name) == 0 for name in survivors)
    all_there = set(survivors) == {*FIRST_NODES, LATE_SERVER} - {VICTIM}
    return True if all_there and well == len(survivors) else None, f"{well} of {len(survivors)}"


def _even(answers: Counter[str], servers: tuple[str, ...] | list[str]) -> Outcome:
    """Check that each server has answered the same number of requests ± 1, and that no others answered."""
    if not answers:
        return None, ""
    counts = [answers[server] for server in servers]
    seen = ", ".join(map(str, counts))
    if max(counts) - min(counts) > 1 or answers.total() > sum(counts):
        return False, seen
    return True if sum(counts) >= _FEW else None, seen


def _by_both(since_ns: int | None, by_client_ns: int | None, by_demo_ns: int | None) -> Outcome:
    """Check that both the client and the demo have seen an event, and how long after it happened."""
    if since_ns is None:
        return None, ""
    seen = [
        f"{who} {(at_ns - since_ns) / NS_PER_MS:.1f}"
        for who, at_ns in ((CLIENT, by_client_ns), ("demo", by_demo_ns))
        if at_ns is not None
    ]
    return True if len(seen) == 2 else None, f"{', '.join(seen)} ms" if seen else ""  # noqa: PLR2004 - both


_SHARES = f"{len(FIRST_SERVERS)} equal shares ± 1"
_BY_BOTH = f"by {CLIENT} and demo"

NODES_FOUND = Expectation("Nodes find each other", f"{len(FIRST_NODES)} processes", _nodes_found)
READINGS_FLOW = Expectation("Readings flow", "3 kinds, none lost", _readings_flow)
REQUESTS_ANSWERED = Expectation("Requests are answered", "all", _requests_answered)
TURNS_TAKEN = Expectation("Servers take turns", _SHARES, _turns_taken)
SLOW_TIMED_OUT = Expectation("A timeout is handled", f"after {SLOW_TIMEOUT_MS} ms", _slow_timed_out)
NEXT_WORKED = Expectation("Next request works", "late reply dropped", _next_worked)
KILL_NOTICED = Expectation("A kill is detected", _BY_BOTH, _kill_noticed)
REQUESTS_CONTINUED = Expectation("Requests continue", "all, by the others", _requests_continued)
LATE_FOUND = Expectation("A late node is found", _BY_BOTH, _late_found)
LATE_SHARES = Expectation("It gets its share", _SHARES, _late_shares)
ALL_ENDED = Expectation("All exit when asked", "exit status 0", _all_ended)

EXPECTATIONS = (
    NODES_FOUND,
    READINGS_FLOW,
    REQUESTS_ANSWERED,
    TURNS_TAKEN,
    SLOW_TIMED_OUT,
    NEXT_WORKED,
    KILL_NOTICED,
    REQUESTS_CONTINUED,
    LATE_FOUND,
    LATE_SHARES,
    ALL_ENDED,
)


def findings(record: Record, *, final: bool = False) -> list[ExpectationResult]:
    """Check all expectations; in a `final` record, those still undecided have failed."""
    results = []
    for what, expected, check in EXPECTATIONS:
        holds, seen = check(record)
        if holds is None and not final:
            state = ExpectationState.WAITING
        else:
            state = ExpectationState.OK if holds else ExpectationState.FAILED
            seen = seen or "nothing"
        results.append(ExpectationResult(what, expected, seen, state))
    return results
