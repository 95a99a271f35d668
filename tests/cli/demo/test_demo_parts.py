"""The parts of `colugo demo` that need no process: judgement, readings, wording, screen, options."""

import io
import math
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from colugo import __version__
from colugo.cli.demo import readings
from colugo.cli.demo.demo_messages import (
    CLIENT,
    FIRST_NODES,
    FIRST_SERVERS,
    LATE_SERVER,
    LOAD,
    MEMORY,
    NETWORK,
    VICTIM,
    DemoEvent,
    Load,
    Memory,
    NetworkLoad,
    Report,
    SlowOutcome,
)
from colugo.cli.demo.expectations import EXPECTATIONS, ExpectationState, findings
from colugo.cli.demo.formats import amount
from colugo.cli.demo.record import MessageFlow, Record
from colugo.cli.demo.roles import prime_factors
from colugo.cli.demo.screen import ScreenView
from colugo.cli.demo.tour import status_text
from colugo.cli.main import colugo

MS = 1_000_000
ROWS = [expectation.what for expectation in EXPECTATIONS]


def answered(record: Record, servers: tuple[str, ...], from_ms: int) -> None:
    for number, server in enumerate(servers):
        at_ns = record.started_ns + (from_ms + number) * MS
        record.on_report(CLIENT, Report(DemoEvent.ANSWERED, server, at_ns, 0.5, late=from_ms > 2000))


def complete_record() -> Record:
    """Return the record of a demo that goes well: all that the expectations ask for, and little more."""
    start = 1_000 * MS
    record = Record(start)
    remaining = (*(server for server in FIRST_SERVERS if server != VICTIM), LATE_SERVER)
    for name in (*FIRST_NODES, LATE_SERVER):
        record.pids[name] = 1
        record.on_report(name, Report(DemoEvent.JOINED, name, start))
        record.found_ns[name] = start + 5 * MS
    for server in FIRST_SERVERS:
        record.on_report(CLIENT, Report(DemoEvent.CONNECTED, server, start + 6 * MS))
    values = {LOAD: Load(0.1, 0.2, 0.3), MEMORY: Memory(2**30, 2**32), NETWORK: NetworkLoad(7, 8)}
    for topic, value in values.items():
        flow = record.flows[topic] = MessageFlow()
        for number in range(3):
            flow.add(value, number, start, start + MS)
    answered(record, FIRST_SERVERS * 3, 1000)
    record.slow_asked_ns = start + 2000 * MS
    record.slow = SlowOutcome("RequestTimeoutError", "no reply", 400.4, "server-a", 0.5)
    answered(record, FIRST_SERVERS, 2500)
    record.killed_ns = start + 3000 * MS
    record.on_report(CLIENT, Report(DemoEvent.DISCONNECTED, VICTIM, start + 3001 * MS))
    record.on_gone(VICTIM, start + 3002 * MS)
    record.exits[VICTIM] = -signal.SIGKILL
    answered(record, remaining[:2] * 3, 3100)
    record.on_report(CLIENT, Report(DemoEvent.CONNECTED, LATE_SERVER, start + 4000 * MS))
    answered(record, (LATE_SERVER, *remaining[:2]) * 3, 4100)
    record.closing_ns = start + 5000 * MS
    for name in record.pids:
        record.exits.setdefault(name, 0)
    return record


def states(record: Record, *, final: bool = True) -> dict[str, ExpectationState]:
    return {finding.what: finding.state for finding in findings(record, final=final)}


def test_all_expectations_hold_for_a_demo_that_went_well() -> None:
    assert states(complete_record()) == dict.fromkeys(ROWS, ExpectationState.OK)


def test_nothing_seen_is_waiting_first_and_failed_in_the_end() -> None:
    assert set(states(Record(0), final=False).values()) == {ExpectationState.WAITING}
    assert states(Record(0)) == dict.fromkeys(ROWS, ExpectationState.FAILED)


def a_node_is_not_found(record: Record) -> None:
    del record.found_ns["monitor"]


def the_client_misses_a_server(record: Record) -> None:
    del record.found_by_client_ns["server-c"]


def a_reading_is_lost(record: Record) -> None:
    record.flows[LOAD].add(Load(0, 0, 0), 17, 0, 0)


def a_kind_of_reading_is_missing(record: Record) -> None:
    del record.flows[MEMORY]


def a_request_fails_before_the_kill(record: Record) -> None:
    at_ns = record.started_ns + 2600 * MS
    record.on_report(CLIENT, Report(DemoEvent.FAILED, "RequestTimeoutError", at_ns, detail="no reply"))


def a_server_gets_more_than_its_share(record: Record) -> None:
    answered(record, ("server-a", "server-a"), 1500)


def a_stranger_answers(record: Record) -> None:
    answered(record, ("server-x",), 1500)


def the_slow_request_is_answered(record: Record) -> None:
    record.slow = SlowOutcome("", "a reply in time", 390.0, "server-a", 0.5)


def the_slow_request_fails_too_soon(record: Record) -> None:
    record.slow = SlowOutcome("RequestTimeoutError", "no reply", 120.0, "server-a", 0.5)


def the_late_reply_is_not_counted(record: Record) -> None:
    record.late_replies = 0


def only_the_client_notices_the_kill(record: Record) -> None:
    del record.gone_ns[VICTIM]


def a_request_times_out_after_the_kill(record: Record) -> None:
    at_ns = record.started_ns + 3200 * MS
    record.on_report(CLIENT, Report(DemoEvent.FAILED, "RequestTimeoutError", at_ns, detail="no reply"))


def the_late_node_is_found_by_the_client_only(record: Record) -> None:
    del record.found_ns[LATE_SERVER]


def the_late_node_gets_too_little(record: Record) -> None:
    answered(record, ("server-a", "server-c") * 3, 4200)


def a_node_ends_badly(record: Record) -> None:
    record.exits["monitor"] = 1


@pytest.mark.parametrize(
    ("spoil", "what"),
    [
        (a_node_is_not_found, "Nodes find each other"),
        (the_client_misses_a_server, "Nodes find each other"),
        (a_reading_is_lost, "Readings flow"),
        (a_kind_of_reading_is_missing, "Readings flow"),
        (a_request_fails_before_the_kill, "Requests are answered"),
        (a_server_gets_more_than_its_share, "Servers take turns"),
        (a_stranger_answers, "Servers take turns"),
        (the_slow_request_is_answered, "A timeout is handled"),
        (the_slow_request_fails_too_soon, "A timeout is handled"),
        (the_late_reply_is_not_counted, "Next request works"),
        (only_the_client_notices_the_kill, "A kill is detected"),
        (a_request_times_out_after_the_kill, "Requests continue"),
        (the_late_node_is_found_by_the_client_only, "A late node is found"),
        (the_late_node_gets_too_little, "It gets its share"),
        (a_node_ends_badly, "All exit when asked"),
    ],
)
def test_what_did_not_happen_fails_and_nothing_else_does(spoil: Callable[[Record], None], what: str) -> None:
    record = complete_record()
    spoil(record)
    assert [row for row, state in states(record).items() if state is not ExpectationState.OK] == [what]


def test_a_request_that_the_killed_server_had_may_fail_with_peer_lost() -> None:
    record = complete_record()
    at_ns = record.started_ns + 3001 * MS
    record.on_report(CLIENT, Report(DemoEvent.FAILED, "PeerLostError", at_ns, detail="it is gone"))
    assert states(record)["Requests continue"] is ExpectationState.OK


def test_what_comes_after_the_end_is_not_judged() -> None:
    record = complete_record()
    at_ns = record.started_ns + 5001 * MS
    record.on_report(CLIENT, Report(DemoEvent.FAILED, "RequestError", at_ns, detail="closed"))
    assert states(record) == dict.fromkeys(ROWS, ExpectationState.OK)


@given(st.sets(st.integers(0, 1000), min_size=1))
def test_a_flow_counts_the_numbers_that_were_skipped(numbers: set[int]) -> None:
    flow = MessageFlow()
    for number in sorted(numbers):
        flow.add(None, number, 0, 0)
    assert (flow.received, flow.lost) == (len(numbers), max(numbers) - min(numbers) + 1 - len(numbers))


# --- small parts


@given(st.integers(2, 100_000))
def test_prime_factors_are_primes_whose_product_is_the_number(number: int) -> None:
    factors = prime_factors(number)
    assert math.prod(factors) == number
    assert all(factor % divisor for factor in factors for divisor in range(2, math.isqrt(factor) + 1))


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1200, "1.2 kB"), (104_300, "104 kB"), (5e9, "5.0 GB"), (7e16, "70000 TB")],
)
def test_amounts_read_well(count: float, text: str) -> None:
    assert amount(count) == text


@pytest.mark.parametrize(
    ("status", "text"), [(3, "exit status 3"), (-9, "killed by SIGKILL"), (-99, "killed by signal 99")]
)
def test_exit_statuses_read_well(status: int, text: str) -> None:
    assert status_text(status) == text


def test_the_machine_is_read_without_psutil_as_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    before = readings.read_network()
    total = readings.read_memory().total
    monkeypatch.setattr(readings, "psutil", None)
    assert readings.can_read()
    assert readings.read_memory().total == total
    assert 0 < readings.read_memory().used < total
    assert readings.read_network().received >= before.received
    assert readings.read_network().sent >= before.sent
    assert min(readings.read_load().one, readings.read_load().five, readings.read_load().fifteen) >= 0


def test_the_network_counters_of_all_interfaces_are_added() -> None:
    text = """Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls
    lo:  100       2    0    0    0     0          0         0      200       2    0    0    0     0
  eth0:1000       9    0    0    0     0          0         0     3000       9    0    0    0     0
"""
    assert readings.parse_net_dev(text) == NetworkLoad(received=1100, sent=3200)


def test_a_machine_that_cannot_be_read_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readings, "psutil", None)
    monkeypatch.setattr(readings, "_MEMORY_FILE", Path("/nowhere"))
    result = CliRunner().invoke(colugo, ["demo"])
    assert result.exit_code == 1
    assert 'pip install "colugo[demo]"' in result.output


@pytest.mark.parametrize(
    ("arguments", "example"), [([], "colugo demo"), (["demo"], "colugo demo --seconds 30")]
)
def test_the_help_ends_in_examples(arguments: list[str], example: str) -> None:
    result = CliRunner().invoke(colugo, [*arguments, "--help"])
    assert result.exit_code == 0
    assert example in result.output.split("Examples:")[1]


def test_the_version_is_the_package_s() -> None:
    assert CliRunner().invoke(colugo, ["--version"]).output == f"colugo, version {__version__}\n"


def test_a_time_that_is_too_short_is_a_usage_error() -> None:
    result = CliRunner().invoke(colugo, ["demo", "--seconds", "1"])
    assert result.exit_code == 2
    assert "5.0<=x<=300.0" in result.output


@pytest.mark.parametrize(("width", "height"), [(80, 24), (110, 34)])
def test_everything_has_its_place_on_the_screen(width: int, height: int) -> None:
    record = complete_record()
    console = Console(file=io.StringIO(), width=width, height=height, force_terminal=True, color_system=None)
    view = ScreenView(record, console, "realm demo", length_ms=5000)
    with console.capture() as capture, view:
        view.show(record.started_ns + 4000 * MS)
    screen = capture.get()
    for text in (*ROWS, *FIRST_NODES, LATE_SERVER, "0.10  0.20  0.30", "1.00 of 4.00 GiB", "4.0 of 5 s"):
        assert text in screen
    assert f"Expected: {len(ROWS)} of {len(ROWS)}" in screen
