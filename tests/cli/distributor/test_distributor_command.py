"""`colugo distributor`: its options, its end, and its misuse."""

import os
import pty
import re
import signal
import socket
import threading
import time
from pathlib import Path
from typing import Self

import pytest
from click.testing import CliRunner, Result

from colugo.cli.main import colugo
from tests.support.essentials import Program, free_port, seconds, wait_until

PRINTING = """
from colugo.distributor import ThreadedDistributionTarget

class Printing(ThreadedDistributionTarget):
    def process(self, message):
        print(f"got {message}\\n", end="", flush=True)

def create_printing_target():
    return Printing(poolsize=1)
"""
HANGING = """
import threading
from colugo.distributor import ThreadedDistributionTarget

class Hanging(ThreadedDistributionTarget):
    def process(self, message):
        print("hangs", flush=True)
        threading.Event().wait()

def create_hanging_target():
    return Hanging(poolsize=1)
"""
FEED = """
[sources.feed]
type = "tcp"
port = {port}
"""


def run_command(*arguments: str | Path) -> Result:
    return CliRunner().invoke(colugo, ["distributor", *map(str, arguments)])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a plugin in `targets`."""
    (tmp_path / "targets").mkdir()
    (tmp_path / "targets" / "printing.py").write_text(PRINTING)
    monkeypatch.chdir(tmp_path)
    return tmp_path


class Sender:
    """A TCP connection to a source that reads lines."""

    def __init__(self, port: int) -> None:
        deadline = time.monotonic() + seconds(10)
        while True:
            try:
                self._socket = socket.create_connection(("127.0.0.1", port))
            except ConnectionRefusedError:
                assert time.monotonic() < deadline
            else:
                return

    def send(self, *lines: object) -> None:
        self._socket.sendall("".join(f"{line}\n" for line in lines).encode())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()


def start(folder: Path, realm: str, *arguments: str, config: str = "") -> Program:
    (folder / "alerts.toml").write_text(config)
    words = ["-m", "colugo.cli.main", "distributor", "start", "--config", "alerts.toml", *arguments]
    return Program(words, realm=realm, folder=folder)


# --- a run


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_messages_flow_until_a_signal_and_the_status_is_0(
    folder: Path, realm: str, number: signal.Signals
) -> None:
    port = free_port()
    with start(folder, realm, config=FEED.format(port=port)) as program:
        program.expect("started; sources: feed; targets: printing")
        with Sender(port) as sender:
            sender.send("one", "two")
            program.expect("got two")
            program.signal(number)
            assert program.wait() == 0
        assert "not sent" not in "\n".join(program.lines)


def test_a_plugin_that_comes_while_it_runs_is_used(folder: Path, realm: str) -> None:
    port = free_port()
    with start(folder, realm, config=FEED.format(port=port)) as program:
        program.expect("started")
        second = PRINTING.replace("printing", "second").replace('"got', '"second got')
        (folder / "targets" / "second.py").write_text(second)
        program.expect("target second is added")
        with Sender(port) as sender:
            sender.send("one")
            program.expect("second got one")
            (folder / "targets" / "broken.py").write_text("def broken(:")
            program.expect("SyntaxError")
            sender.send("two")
            program.expect("second got two")
        assert program.interrupt() == 0


def test_it_ends_when_standard_input_ends(folder: Path, realm: str) -> None:
    with start(folder, realm, config="[sources.stdin]") as program:  # it is empty
        assert program.wait() == 0


def test_a_stop_in_a_backoff_and_with_a_hanging_target_ends_in_time_and_names_the_numbers(
    folder: Path, realm: str
) -> None:
    (folder / "targets" / "hanging.py").write_text(HANGING)
    feed, nobody = free_port(), free_port()
    config = (
        FEED.format(port=feed)
        + f"""
[targets.lost]
type = "tcp"
host = "127.0.0.1"
port = {nobody}
retry_ms = 60_000
"""
    )
    with start(folder, realm, "--drain-ms", "1000", config=config) as program:
        program.expect("started")
        with Sender(feed) as sender:
            sender.send(*range(100))
            for text in ("hangs", "got 99", "target lost: a try failed"):
                assert wait_until(lambda text=text: text in "\n".join(program.lines))  # type: ignore[misc]
            began = time.monotonic()
            program.signal(signal.SIGTERM)
            assert program.wait() == 0
            took = time.monotonic() - began
    text = "\n".join(program.lines)
    assert "target hanging: 100 messages not sent (1 in progress)" in text
    assert "target lost: 100 messages not sent" in text
    assert "target printing" not in text
    assert took < 2


def test_a_source_whose_close_blocks_does_not_keep_the_process(folder: Path, realm: str) -> None:
    blocking = """
import time
from colugo.distributor import AbstractDistributionSource

class Blocking(AbstractDistributionSource):
    def set_on_message(self, function): self.send = function
    def open(self):
        self.send("one")
    def close(self, code=-1, reason=""):
        print("closes", flush=True)
        while True:
            time.sleep(1)

def create_blocking_source():
    return Blocking()
"""
    (folder / "targets" / "blocking.py").write_text(blocking)
    with start(folder, realm, "--drain-ms", "100") as program:
        program.expect("got one")
        program.signal(signal.SIGTERM)
        program.expect("closes")
        assert program.wait(3) == 0


THREAD = """
import threading, time
from colugo.distributor import AbstractDistributionSource

class Endless(AbstractDistributionSource):
    def set_on_message(self, function): self.send = function
    def open(self): threading.Thread(target=self.run).start()
    def close(self, code=-1, reason=""): ...
    def run(self):
        while True:
            self.send("one")
            time.sleep(0.01)

def create_endless_source():
    return Endless()
"""
OUTPUT = """
import os
from colugo.distributor import TimerSource, ThreadedDistributionTarget

class Blocked(ThreadedDistributionTarget):
    def open(self):
        self.output, nobody_reads = os.dup(1), os.pipe()[1]
        os.dup2(nobody_reads, 1)
        os.dup2(nobody_reads, 2)
    def process(self, message):
        os.write(self.output, b"one\\n")
        print("x" * 1_000_000)

def create_blocked_target():
    return Blocked(poolsize=1)

def create_timer_source():
    return TimerSource(10)
"""


@pytest.mark.parametrize("plugin", [THREAD, OUTPUT])
def test_what_keeps_a_process_that_is_done_does_not_keep_it_for_long(
    folder: Path, realm: str, plugin: str
) -> None:
    (folder / "targets" / "keeping.py").write_text(plugin)
    with start(folder, realm, "--drain-ms", "100") as program:
        program.expect("one")
        program.signal(signal.SIGTERM)
        assert program.wait(3) == 0


def test_a_second_signal_ends_at_once(folder: Path, realm: str) -> None:
    (folder / "targets" / "hanging.py").write_text(HANGING)
    port = free_port()
    with start(folder, realm, "--drain-ms", "60000", config=FEED.format(port=port)) as program:
        with Sender(port) as sender:
            sender.send("one")
            program.expect("hangs")
            program.signal(signal.SIGINT)
            assert wait_until(lambda: _refuses(port))
            program.signal(signal.SIGINT)
            assert program.wait(5) == 0
        assert "target hanging: 1 message not sent (1 in progress)" in program.lines


def _refuses(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        return True
    return False


def test_the_status_shows_the_counters_on_a_terminal(folder: Path, realm: str) -> None:
    port = free_port()
    (folder / "alerts.toml").write_text(FEED.format(port=port))
    shown = bytearray()
    leader, follower = pty.openpty()

    def read() -> None:
        try:
            while data := os.read(leader, 4096):
                shown.extend(data)
        except OSError:  # the other end is closed
            pass

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    command = f"""
import os
from colugo.cli.main import main
os.dup2(os.open({os.ttyname(follower)!r}, os.O_RDWR), 2)
main(["distributor", "start", "--config", "alerts.toml"])
"""
    with (
        Program(
            ["-c", command], realm=realm, folder=folder, env={"TERM": "xterm", "COLUMNS": "120"}
        ) as program,
        Sender(port) as sender,
    ):
        sender.send(*range(1234))
        plain = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]")
        assert wait_until(lambda: b"in 1,234" in plain.sub(b"", bytes(shown)))
        assert wait_until(lambda: re.search(rb"printing +1,234 +0 +0 +0", plain.sub(b"", bytes(shown))))
        assert program.interrupt() == 0
    os.close(follower)
    reader.join(seconds(5))
    os.close(leader)


# --- misuse


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("start", "--ws-url", "http://127.0.0.1/"), "http://127.0.0.1/"),
        (("start", "--ws_url", "http://127.0.0.1/"), "http://127.0.0.1/"),
        (("start", "--src", "nowhere"), "Directory 'nowhere' does not exist"),
        (("start", "--config", "nowhere.toml"), "File 'nowhere.toml' does not exist"),
        (("start", "--log-level", "loud"), "'loud' is not one of"),
        (("start", "--drain-ms", "-1"), "-1 is not in the range"),
        (("start", "--realm", "no realm", "--ws-url", "ws://127.0.0.1:1"), "a realm has 1 to 24"),
        (("start",), "no source: give --ws-url"),
        (("show",), "Missing argument"),
        (("show", "everything"), "is not one of 'targets', 'sources', 'formatters'"),
        (("timing", "--count", "0"), "0 is not in the range"),
        (("example", "unthreaded"), "is not 'threadedtarget'"),
    ],
)
def test_wrong_usage_is_status_2_and_says_what_is_wrong(
    folder: Path, arguments: tuple[str, ...], text: str
) -> None:
    result = run_command(*arguments)
    assert result.exit_code == 2
    assert text in result.output


@pytest.mark.parametrize(
    ("config", "text"),
    [
        (
            "[targets.graphite]\nhots = 'x'",
            "alerts.toml: targets.graphite.hots: unknown key; did you mean 'host'?",
        ),
        ("x = =", "alerts.toml: Invalid value (at line 1, column 5)"),
        ("src = 'nowhere'", "nowhere' does not exist"),
        ("log_level = 'loud'", "log_level must be one of DEBUG, INFO, WARNING, ERROR, CRITICAL, not 'loud'"),
        ("[sources.websocket]\nurl = 'http://127.0.0.1'", "alerts.toml: sources.websocket: "),
    ],
)
def test_a_mistake_in_the_configuration_is_status_2(folder: Path, config: str, text: str) -> None:
    (folder / "alerts.toml").write_text(config)
    result = run_command("start", "--config", "alerts.toml")
    assert result.exit_code == 2
    assert text in result.output.replace("\n", " ")


@pytest.mark.parametrize(
    ("plugin", "text"),
    [
        ("def create_none_target(): ...", "no target could be loaded from "),
        ("def create_raising_target(): raise OSError", "no target could be loaded from "),
        ("1 / 0", "no target could be loaded from "),
        ("", "no target could be loaded from "),
    ],
)
def test_if_nothing_can_be_loaded_the_status_is_3(folder: Path, plugin: str, text: str) -> None:
    (folder / "targets" / "printing.py").write_text(plugin)
    result = run_command("start", "--ws-url", "ws://127.0.0.1:1")
    assert result.exit_code == 3
    assert text in result.output


def test_without_a_directory_of_targets_nothing_can_be_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run_command("start", "--ws-url", "ws://127.0.0.1:1")
    assert result.exit_code == 3
    assert "no directory 'targets' is here" in result.output


@pytest.mark.parametrize("command", ["start", "show", "example", "timing"])
def test_the_help_ends_with_examples(command: str) -> None:
    lines = [line.strip() for line in run_command(command, "--help").output.rstrip().splitlines()]
    after = lines[lines.index("Examples:") + 1 :]
    assert after
    assert all(line.startswith(f"colugo distributor {command}") for line in after)


# --- the other commands


def test_show_lists_types_with_their_origin_and_parameters(folder: Path) -> None:
    rows = {line.split()[0]: line for line in run_command("show", "targets").output.splitlines()}
    assert re.search(r"graphite +built in +host port\?", rows["graphite"])
    assert re.search(r"printing +targets/printing.py", rows["printing"])
    assert "websocket" in run_command("show", "sources").output
    assert "template" in run_command("show", "formatters", "--log_level", "debug").output
    result = run_command("show", "targets", "--verbose")
    assert "Carbon" in result.output or "carbon" in result.output


def test_show_reports_a_broken_plugin_with_status_1(folder: Path) -> None:
    (folder / "targets" / "broken.py").write_text("1 / 0")
    result = run_command("show", "targets")
    assert result.exit_code == 1
    assert "printing" in result.output


@pytest.mark.parametrize("words", [(), ("threadedtarget",)])
def test_example_prints_all_messages(words: tuple[str, ...]) -> None:
    result = run_command("example", *words, "--count", "100")
    assert result.exit_code == 0
    assert sorted(result.output.splitlines()) == sorted(f"hello world #{number}" for number in range(100))


def test_timing_prints_time_and_rate() -> None:
    result = run_command("timing", "threadedtarget", "--count", "20000")
    assert result.exit_code == 0
    assert re.fullmatch(r"Elapsed time: [\d.]+ s for 20,000 messages, [\d,]+ messages/s\n", result.output)
