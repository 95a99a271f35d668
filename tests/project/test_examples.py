"""Each example runs as a process of its own, talks to those it belongs to, and stops cleanly."""

import contextlib
import itertools
import re
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.essentials import ROOT, Program

NO_PROGRAMS = {"host_reading", "picture"}
ELSEWHERE = {"demo"}
"""Tested with the command that it calls."""
WITHOUT_NODE = {"dispatcher"}
"""A node is optional here; it has tests of its own."""
PROGRAMS = {path.stem for path in (ROOT / "examples").glob("*.py")} - NO_PROGRAMS - ELSEWHERE - WITHOUT_NODE

FILES = {"orders": ["orders.db"]}
"""Arguments that keep an example's files out of the folder it is started in."""

QUICK = {"sub", "req", "billing"}
"""Tested each time; the others are slow tests."""

Expected = dict[str, str]
"""For each example, a pattern of the lines that it prints when it talks to the others."""

CONVERSATIONS: list[Expected] = [
    {
        "pub": r"sending Message (\d+) to 1 subscriber\(s\)",
        "sub": r"received Message (\d+)",
    },
    {
        "aio_pub": r"sending Message (\d+) to 1 subscriber\(s\)",
        "aio_sub": r"received Message (\d+)",
    },
    {
        "pub": r"sending Message (\d+) to 1 subscriber\(s\)",
        "aio_sub": r"received Message (\d+)",
    },
    {
        "rep": r"answering Message (\d+)",
        "req": r"got MESSAGE (\d+)",
    },
    {
        "aio_rep": r"working on Message [0-4]",
        "aio_req": r"got MESSAGE 0, MESSAGE 1, MESSAGE 2, MESSAGE 3, MESSAGE 4 in [\d.]+ ms",
    },
    {
        "rep": r"answering Message [0-4]",
        "aio_req": r"got MESSAGE 0, MESSAGE 1, MESSAGE 2, MESSAGE 3, MESSAGE 4 in [\d.]+ ms",
    },
    {
        "respondent": r"asked for /: [\d.]+ GB free",
        "surveyor": r"1 of 1 replied in [\d.]+ ms: [\d.]+ GB at respondent; "
        r"failed 0, declined 0, silent 0, left 0",
    },
    {
        "orders": r"order (\d+) is stored; \d+ not billed yet",
        "billing": r"billed order \d+: \d x (tea|coffee|cake)",
    },
    {
        "pub_json": r"sending \{'host': '.*', 'total_bytes': \d+, 'free_bytes': \d+\}",
        "sub_json": r".*: [\d.]+ of [\d.]+ GB free",
    },
    {
        "pub_proto": r"sending (19|2[0-3])\.\d\d °C",
        "sub_proto": r"\d\d:\d\d:\d\d bench-1: (19|2[0-3])\.\d\d °C",
    },
    {
        "threaded": r"got MESSAGE (\d+), publishing it",
        "rep": r"answering Message (\d+)",
        "sub": r"received MESSAGE (\d+)",
    },
    {
        "host_monitor": r"sending .+: load [\d.]+, cpu \d+ %, memory [\d.]+ of [\d.]+ GB, received .*",
        "host_viewer": r".+: load [\d.]+, cpu \d+ %, memory [\d.]+ of [\d.]+ GB, received .*",
    },
    {
        "camera": r"sending picture \d+ to 1 viewer\(s\)",
        "viewer": r"[1-9]\d* pictures a second; picture (\d+): \(480, 640, 3\), mean \1\.0",
    },
    {
        "meter": r"sent \d+000 readings to 1 subscriber\(s\)",
        "recorder": r"wrote \d+ rows, the last with number \d+",
    },
    {
        "messenger_sender": r"sent order \d+; \d+ pending here, \d relay\(s\)",
        "messenger_receiver": r"order \d+: a pot of tea, sent [\d.]+ s ago",
    },
    {
        "messenger_sender": r"sent order \d+; 0 pending here, 1 relay\(s\)",
        "relay_in_a_program": r"[1-9]\d* accepted, \d+ undelivered",
    },
    {
        "alerts": r"unreliable: [1-9]\d* sent, [1-9]\d* retried, 0 dropped",
    },
]


@dataclass
class Cast:
    """Starts examples, and ends those that are left.

    Attributes:
        realm: in which they meet.
        stack: what is ended.
        folder: for their files.
    """

    realm: str
    stack: ExitStack
    folder: Path

    def start(self, example: str, *arguments: str, env: dict[str, str] | None = None) -> Program:
        given = arguments or [str(self.folder / name) for name in FILES.get(example, ())]
        return self.stack.enter_context(
            Program([f"examples/{example}.py", *given], realm=self.realm, env=env)
        )


@pytest.fixture
def cast(realm: str, tmp_path: Path) -> Iterator[Cast]:
    with ExitStack() as stack:
        yield Cast(realm, stack, tmp_path)


def lines_like(program: Program, pattern: str, count: int) -> list[str]:
    """The first lines that fit the pattern as a whole; fails if they do not come."""
    found: list[str] = []
    while len(found) < count:
        line = program.expect("").rstrip("\n")
        if re.fullmatch(pattern, line):
            found.append(line)
    return found


def stops_cleanly(program: Program, number: signal.Signals = signal.SIGINT) -> None:
    program.signal(number)
    status = program.wait()
    output = "\n".join(program.lines)
    assert status == 0, output
    assert "Traceback" not in output, output


def title(expected: Expected) -> str:
    return "-".join(expected)


def conversation(expected: Expected) -> object:
    """One of them, slow if it takes longer to see what others show, too."""
    marks = [] if set(expected) & QUICK else [pytest.mark.slow]
    return pytest.param(expected, id=title(expected), marks=marks)


@pytest.mark.parametrize("expected", [conversation(one) for one in CONVERSATIONS])
def test_examples_find_each_other_and_talk(cast: Cast, expected: Expected) -> None:
    programs = {name: cast.start(name) for name in reversed(expected)}  # those that wait for others first
    for name, program in programs.items():
        lines_like(program, expected[name], 2)
    for program in programs.values():
        stops_cleanly(program)


def test_every_example_takes_part_in_a_test() -> None:
    talking = {name for expected in CONVERSATIONS for name in expected} | {"sub_wildcard"}
    assert talking == PROGRAMS


@pytest.mark.slow
@pytest.mark.parametrize("example", sorted(PROGRAMS))
def test_an_example_that_is_alone_stops_cleanly(cast: Cast, example: str) -> None:
    program = cast.start(example)
    program.expect("scope host")
    stops_cleanly(program)


@pytest.mark.parametrize("example", ["pub", "sub"])
def test_a_node_that_was_started_stops_cleanly_on_sigterm(cast: Cast, example: str) -> None:
    program = cast.start(example)
    program.expect("scope host")
    stops_cleanly(program, signal.SIGTERM)


@pytest.mark.slow
def test_a_subscriber_misses_nothing_between_two_messages_and_says_who_is_there(cast: Cast) -> None:
    sub = cast.start("sub")
    cast.start("pub")
    sub.expect("connected to publisher pub.topic of pub")
    numbers = [
        int(line.removeprefix("received Message ")) for line in lines_like(sub, r"received Message \d+", 3)
    ]
    assert numbers == [numbers[0], numbers[0] + 1, numbers[0] + 2]


def test_an_order_that_was_stored_is_billed_after_both_have_been_killed(cast: Cast) -> None:
    orders = cast.start("orders")
    lines_like(orders, r"order 1 is stored; 1 not billed yet", 1)
    orders.kill()
    cast.start("orders")
    billing = cast.start("billing")
    lines_like(billing, r"billed order 1: \d x (tea|coffee|cake)", 1)


@pytest.mark.slow
def test_what_billing_cannot_do_is_tried_again_and_logged(cast: Cast) -> None:
    orders = cast.start("orders")
    for goods in ("tea", "coffee", "cake"):
        cast.start("billing", goods)
    orders.expect("is a dead letter", within=60)


@pytest.mark.slow
def test_each_of_two_subscribers_gets_every_message(cast: Cast) -> None:
    subs = [cast.start("sub"), cast.start("sub")]
    pub = cast.start("pub")
    line = lines_like(pub, r"sending Message \d+ to 2 subscriber\(s\)", 1)[0]
    number = line.split()[2]
    for sub in subs:
        sub.expect(f"received Message {number}")


@pytest.mark.slow
def test_a_subscriber_notices_a_killed_publisher_and_goes_on_with_a_new_one(cast: Cast) -> None:
    sub = cast.start("sub")
    pub = cast.start("pub")
    sub.expect("received Message")
    pub.kill()
    sub.expect("lost: publisher pub.topic of pub")
    cast.start("pub")
    sub.expect("connected to")
    sub.expect("received Message 0")
    stops_cleanly(sub)


@pytest.mark.slow
def test_a_client_says_that_there_is_no_server_and_gets_its_replies_when_there_is_one(cast: Cast) -> None:
    req = cast.start("req")
    req.expect("no answer: no server of 'rpc.topic' is known after 2000 ms")
    rep = cast.start("rep")
    req.expect("got MESSAGE")
    rep.kill()
    cast.start("rep")
    lines_like(req, r"got MESSAGE \d+", 3)
    stops_cleanly(req)


@pytest.mark.slow
def test_the_wildcard_subscriber_hears_every_topic(cast: Cast) -> None:
    listener = cast.start("sub_wildcard")
    for name in ("pub", "pub_json", "pub_proto"):
        cast.start(name)
    wanted = {
        r"pub\.topic from pub: Message \d+",
        r"host\.disk from pub_json: \d+ bytes",
        r"lab\.temperature from pub_proto: \d+ bytes",
    }
    while wanted:
        line = listener.expect(" from ").rstrip("\n")
        wanted -= {pattern for pattern in wanted if re.fullmatch(pattern, line)}
    stops_cleanly(listener)


@pytest.mark.slow
def test_the_wildcard_subscriber_hears_only_what_fits_its_pattern(cast: Cast) -> None:
    listener = cast.start("sub_wildcard", "host.*")
    pub, json = cast.start("pub"), cast.start("pub_json")
    lines_like(listener, r"host\.disk from pub_json: \d+ bytes", 2)
    lines_like(pub, r"sending Message \d+ to 0 subscriber\(s\)", 2)
    stops_cleanly(json)
    stops_cleanly(listener)
    assert not [line for line in listener.lines if "pub.topic" in line]


def test_the_wildcard_subscriber_refuses_a_pattern_in_one_line(cast: Cast) -> None:
    program = cast.start("sub_wildcard", "lab.*x")
    assert program.wait() == 1
    assert len(program.lines) == 1
    assert program.lines[0].startswith("sub_wildcard: ")
    assert "lab.*x" in program.lines[0]


def test_the_viewer_shows_a_table_on_a_terminal_and_says_when_a_monitor_is_gone(cast: Cast) -> None:
    viewer = cast.start("host_viewer", env={"FORCE_COLOR": "1", "COLUMNS": "120", "TERM": "xterm"})
    monitor = cast.start("host_monitor")
    viewer.expect("┃")
    viewer.expect("kB/s")
    monitor.kill()
    viewer.expect("gone:")
    stops_cleanly(viewer)


def test_the_monitor_says_in_one_line_that_psutil_is_missing(realm: str) -> None:
    without = "import runpy, sys; sys.modules['psutil'] = None; runpy.run_path('{}', run_name='__main__')"
    with Program(["-c", without.format("examples/host_monitor.py")], realm=realm) as program:
        assert program.wait() == 1
        assert len(program.lines) == 1
        assert "pip install psutil" in program.lines[0]


def test_the_viewer_needs_no_psutil(realm: str) -> None:
    without = "import runpy, sys; sys.modules['psutil'] = None; runpy.run_path('{}', run_name='__main__')"
    with Program(["-c", without.format("examples/host_viewer.py")], realm=realm) as program:
        program.expect("scope host")
        stops_cleanly(program)


def test_the_recorder_has_every_reading_in_its_file_when_it_has_stopped_twice(
    cast: Cast, tmp_path: Path
) -> None:
    file = tmp_path / "readings.db"
    meter = cast.start("meter")
    for _ in range(2):
        recorder = cast.start("recorder", str(file))
        lines_like(recorder, r"wrote \d+ rows, .*", 3)
        stops_cleanly(recorder)
        assert "lost" not in "\n".join(recorder.lines)
    stops_cleanly(meter)
    with contextlib.closing(sqlite3.connect(file)) as database:
        numbers = [number for (number,) in database.execute("SELECT number FROM readings ORDER BY rowid")]
    gaps = [b - a for a, b in itertools.pairwise(numbers) if b != a + 1]
    assert len(numbers) >= 6000
    assert len(gaps) == 1  # while no recorder was there
    assert gaps[0] > 1


@pytest.mark.slow
def test_a_dispatcher_gets_the_answers_that_are_in_time(cast: Cast) -> None:
    program = cast.start("dispatcher")
    lines_like(program, r"bench\.voltage: quick meter here: pin \d+ has \d+\.50 V", 2)
    lines_like(program, r"bench\.voltage: 1 results, 1 silent, in 3\d\d ms", 1)
    stops_cleanly(program)
    assert "slow meter" not in "\n".join(program.lines)


@pytest.mark.slow
def test_dispatchers_with_nodes_ask_the_meters_of_both(cast: Cast) -> None:
    programs = [cast.start("dispatcher", name) for name in ("one", "two")]
    for program in programs:
        lines_like(program, r"bench\.voltage: 2 results, 2 silent, in \d+ ms", 2)
        for name in ("one", "two"):
            assert any(f"quick meter {name}" in line for line in program.lines)
    for program in programs:
        stops_cleanly(program)


@pytest.mark.slow
@pytest.mark.parametrize("example", ["host_viewer", "sub_proto", "viewer"])
def test_an_example_that_imports_others_runs_as_a_module_too(realm: str, example: str) -> None:
    with Program(["-m", f"examples.{example}"], realm=realm) as program:
        program.expect("scope host")
        stops_cleanly(program)


@pytest.mark.parametrize("example", sorted(PROGRAMS | WITHOUT_NODE))
def test_an_example_says_first_what_it_shows_and_how_to_run_it(example: str) -> None:
    text = (ROOT / "examples" / f"{example}.py").read_text(encoding="utf-8")
    assert text.startswith('"""')
    assert f"python examples/{example}.py" in text.split('"""')[1]
