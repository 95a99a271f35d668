"""`colugo demo` as a process: that it shows all, fails with a reason, and leaves nothing behind."""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from colugo.cli.demo.demo_messages import FIRST_NODES, LATE_SERVER
from colugo.cli.demo.expectations import EXPECTATIONS
from tests.support.essentials import ROOT, Program, seconds

DEMO = ["-m", "colugo.cli.main", "demo"]
SHORT = [*DEMO, "--seconds", "5"]
ROWS = [expectation.what for expectation in EXPECTATIONS]


def started(lines: list[str]) -> dict[str, int]:
    """The process ids of the nodes, from what the demo has printed."""
    words = [line.replace(",", "").split() for line in lines]
    return {word[3]: int(word[5]) for word in words if word[2:3] == ["started"]}


def wait_until_gone(pids: dict[str, int], within: float = 10.0) -> None:
    """Wait for the end of nodes that need not be our children."""
    deadline = time.monotonic() + seconds(within)
    for name, pid in pids.items():
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
            if not command or b"colugo.cli.demo.roles" in command:  # else the number has a new owner
                left_s = max(0.0, deadline - time.monotonic())
                ended, _, _ = select.select([descriptor], [], [], left_s)
                assert ended, f"{name} still runs"
        except (ProcessLookupError, FileNotFoundError):
            pass
        finally:
            os.close(descriptor)


def assert_gone(pids: dict[str, int]) -> None:
    assert pids
    wait_until_gone(pids, within=0)


def rows(lines: list[str]) -> dict[str, str]:
    """Return the result of each expectation in the summary."""
    found = {what: line for line in lines for what in ROWS if line.strip().startswith(what)}
    return {what: line.split()[-1] for what, line in found.items()}


@pytest.fixture
def sabotage(tmp_path: Path) -> Callable[[str], dict[str, str]]:
    """Makes the environment in which each Python program runs some code before anything else."""

    def environment(code: str) -> dict[str, str]:
        (tmp_path / "sitecustomize.py").write_text(f"import os, sys\n{code}")
        return {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT), *filter(None, sys.path)])}

    return environment


@pytest.mark.slow
@pytest.mark.measures
def test_a_short_demo_shows_everything_and_leaves_nothing_behind(realm: str) -> None:
    with Program(SHORT, realm=realm) as demo:
        assert demo.wait(within=40) == 0
    assert rows(demo.lines) == dict.fromkeys(ROWS, "ok")
    last = demo.lines[-1]
    assert last.startswith(f"All {len(ROWS)} as expected, in ")
    assert float(last.split()[-2]) >= 4.5
    assert started(demo.lines).keys() == {*FIRST_NODES, LATE_SERVER}
    assert_gone(started(demo.lines))
    kinds = {line.split()[2] for line in demo.lines if " s  " in line}
    assert kinds >= {"discovered", "found", "readings", "answers", "timeout", "dropped", "kill", "lost"}


@pytest.mark.slow
@pytest.mark.measures
@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=[pytest.mark.slow, pytest.mark.measures])]
)
def test_a_signal_ends_the_demo_and_its_processes(realm: str, number: signal.Signals) -> None:
    with Program(DEMO, realm=realm) as demo:
        demo.expect("client by demo")
        demo.signal(number)
        assert demo.wait() == 128 + number
    assert demo.lines[-1] == f"Stopped by {number.name}, with 5 processes."
    assert_gone(started(demo.lines))


@pytest.mark.slow
@pytest.mark.measures
def test_the_processes_end_by_themselves_when_the_demo_is_killed(realm: str) -> None:
    with Program(DEMO, realm=realm) as demo:
        demo.expect("client by demo")
        demo.signal(signal.SIGKILL)
        assert demo.wait() == -signal.SIGKILL
    assert started(demo.lines).keys() == set(FIRST_NODES)
    wait_until_gone(started(demo.lines))


@pytest.mark.slow
@pytest.mark.measures
def test_a_reader_that_goes_away_ends_the_demo_and_its_processes(realm: str) -> None:
    demo = subprocess.Popen(
        [sys.executable, *DEMO],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)])},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert demo.stdout is not None
        lines = [demo.stdout.readline() for _ in range(1 + len(FIRST_NODES))]
        demo.stdout.close()
        assert demo.wait(seconds(10)) == 1
    finally:
        demo.kill()
        demo.wait()
    assert_gone(started(lines))


@pytest.mark.slow
@pytest.mark.measures
def test_a_node_that_is_killed_early_fails_the_demo_with_the_reason(realm: str) -> None:
    with Program(DEMO, realm=realm) as demo:
        demo.expect("client by demo")
        os.kill(started(demo.lines)["monitor"], signal.SIGKILL)
        assert demo.wait() == 1
    assert "- monitor ended unexpectedly, killed by SIGKILL" in demo.lines
    assert rows(demo.lines)["A late node is found"] == "failed"
    assert_gone(started(demo.lines))


@pytest.mark.slow
@pytest.mark.measures
def test_a_node_that_does_not_start_fails_the_demo_with_its_last_words(
    realm: str, sabotage: Callable[[str], dict[str, str]]
) -> None:
    code = "if 'server-b' in sys.orig_argv: print('no luck today', file=sys.stderr, flush=True); os._exit(7)"
    with Program(DEMO, realm=realm, env=sabotage(code)) as demo:
        assert demo.wait() == 1
    assert "- server-b ended unexpectedly, exit status 7:" in demo.lines
    assert "no luck today" in demo.lines
    assert rows(demo.lines)["Nodes find each other"] == "failed"
    assert_gone({name: pid for name, pid in started(demo.lines).items() if name != "server-b"})


@pytest.mark.slow
@pytest.mark.measures
def test_a_node_that_nobody_finds_fails_the_demo_with_the_reason(
    realm: str, sabotage: Callable[[str], dict[str, str]]
) -> None:
    code = "if 'server-b' in sys.orig_argv: os.environ['COLUGO_REALM'] = 'elsewhere'"
    with Program(SHORT, realm=realm, env=sabotage(code)) as demo:
        assert demo.wait(within=40) == 1
    assert "- the nodes have not found each other within 15000 ms" in demo.lines
    assert (
        "- Nodes find each other: expected 5 processes; seen: 4 of 5; 2 servers by the client" in demo.lines
    )
    assert rows(demo.lines)["Nodes find each other"] == "failed"
    assert_gone(started(demo.lines))


@pytest.mark.slow
@pytest.mark.measures
def test_a_node_that_does_not_end_when_told_is_killed_and_named(realm: str) -> None:
    with Program(SHORT, realm=realm) as demo:
        demo.expect("server-d by demo")
        os.kill(started(demo.lines)["monitor"], signal.SIGSTOP)
        assert demo.wait(within=40) == 1
    assert rows(demo.lines) == dict.fromkeys(ROWS, "ok") | {"All exit when asked": "failed"}
    assert "- monitor did not exit cleanly when asked, killed by SIGKILL" in demo.lines
    assert_gone(started(demo.lines))


@pytest.mark.slow
@pytest.mark.measures
def test_the_demo_runs_for_the_time_that_it_is_given(realm: str) -> None:
    with Program([*DEMO, "--seconds", "9"], realm=realm) as demo:
        assert demo.wait(within=60) == 0
    assert rows(demo.lines) == dict.fromkeys(ROWS, "ok")
    assert float(demo.lines[-1].split()[-2]) >= 8.5


# --- on a terminal

ENTER_SCREEN, LEAVE_SCREEN, SHOW_CURSOR = b"\x1b[?1049h", b"\x1b[?1049l", b"\x1b[?25h"


class Terminal:
    """A process on a terminal of its own."""

    def __init__(self, arguments: list[str], *, columns: int, rows: int) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        environment = {name: text for name, text in os.environ.items() if name not in {"COLUMNS", "LINES"}}
        path = os.pathsep.join([str(ROOT), *filter(None, sys.path)])
        self.process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=ROOT,
            env=environment | {"TERM": "xterm-256color", "PYTHONPATH": path},
            stdin=slave,
            stdout=slave,
            stderr=slave,
        )
        os.close(slave)
        self.output = b""

    def read_until(self, text: bytes, within: float = 15.0) -> None:
        """Read until the text comes, or to the end if it is empty."""
        deadline = time.monotonic() + seconds(within)
        while not text or text not in self.output:
            ready, _, _ = select.select([self._master], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, f"no {text!r} within {within} s in {self.output!r}"
            try:
                chunk = os.read(self._master, 65536)
            except OSError:  # how Linux tells that the other end is closed
                chunk = b""
            if not chunk:
                assert not text, f"ended without {text!r}: {self.output!r}"
                return
            self.output += chunk

    def close(self) -> None:
        """End it."""
        self.process.kill()
        self.process.wait()
        os.close(self._master)


@pytest.fixture
def terminal(realm: str) -> Iterator[Callable[..., Terminal]]:
    made: list[Terminal] = []

    def make(arguments: list[str], **size: Any) -> Terminal:
        made.append(Terminal(arguments, **size))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.mark.slow
@pytest.mark.measures
def test_ctrl_c_on_a_terminal_gives_the_screen_back(terminal: Callable[..., Terminal]) -> None:
    demo = terminal(DEMO, columns=110, rows=34)
    demo.read_until("✓".encode())
    demo.process.send_signal(signal.SIGINT)
    demo.read_until(b"")
    assert demo.process.wait(seconds(10)) == 130
    assert ENTER_SCREEN in demo.output
    after = demo.output.split(LEAVE_SCREEN)[1]
    assert b"Stopped by SIGINT, with 5 processes." in after
    assert SHOW_CURSOR in demo.output


@pytest.mark.slow
@pytest.mark.measures
def test_the_summary_stays_on_the_terminal(terminal: Callable[..., Terminal]) -> None:
    demo = terminal(SHORT, columns=80, rows=24)
    demo.read_until(b"", within=40)
    assert demo.process.wait(seconds(10)) == 0
    summary = demo.output.split(LEAVE_SCREEN)[1].decode()
    for what in ROWS:
        assert what in summary
    assert f"All {len(ROWS)} as expected" in summary


@pytest.mark.slow
@pytest.mark.measures
def test_a_terminal_that_is_too_small_gets_lines(terminal: Callable[..., Terminal]) -> None:
    demo = terminal(DEMO, columns=60, rows=20)
    demo.read_until(b"started       client")
    assert ENTER_SCREEN not in demo.output
    demo.process.send_signal(signal.SIGINT)
    demo.read_until(b"")
    assert demo.process.wait(seconds(10)) == 130
