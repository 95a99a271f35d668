"""`colugo source` and `colugo target`: processes that find each other, and their misuse."""

import http.client
import random
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from colugo.cli.distributor.endpoint_options import section_of
from colugo.cli.main import colugo
from colugo.distributor.configuration.catalog import Catalog
from colugo.distributor.configuration.values import KeyPath
from colugo.distributor.plugins.factory import Kind
from tests.support.essentials import Program, free_port, seconds, wait_until

KEPT = """
import threading
from pathlib import Path
from colugo.distributor import ThreadedDistributionTarget

class Kept(ThreadedDistributionTarget):
    def __init__(self, path):
        super().__init__(poolsize=1)
        self.path = path

    def open(self):
        self.file = self.path.open("a", buffering=1)

    def process(self, message):
        if message == "hang":
            Path("hanging").touch()
            threading.Event().wait()
        if message == "poison":
            raise ValueError(message)
        self.file.write(f"{message}\\n")

    def close(self, code=-1, reason=""):
        super().close(code, reason)
        self.file.close()

def create_kept_target(path: Path):
    return Kept(path)

def create_raising_target():
    raise OSError("no printer")
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a plugin that appends messages to a file."""
    (tmp_path / "targets").mkdir()
    (tmp_path / "targets" / "kept.py").write_text(KEPT)
    monkeypatch.chdir(tmp_path)
    return tmp_path


class Site:
    """Processes of `colugo source` and `colugo target`."""

    def __init__(self, folder: Path, realm: str) -> None:
        self._folder = folder
        self._realm = realm
        self._programs: list[Program] = []

    def run(self, *words: str, stdin: str = "") -> Program:
        arguments = ["-m", "colugo.cli.main", *words]
        if stdin:
            (self._folder / "stdin").write_text(stdin)
            command = (
                "import os, sys; os.dup2(os.open('stdin', os.O_RDONLY), 0); os.execv(sys.executable, {})"
            )
            arguments = ["-c", command.format(["python", *arguments])]
        program = Program(arguments, realm=self._realm, folder=self._folder)
        self._programs.append(program)
        return program

    def source(self, port: int, *more: str) -> Program:
        program = self.run("source", "webhook", str(port), "--topic", "alerts", *more)
        program.expect("started")
        return program

    def target(self, name: str, *more: str) -> Program:
        program = self.run(
            "target", "kept", f"{name}.txt", "--topic", "alerts", "--name", name, "--src", "targets", *more
        )
        program.expect("started")
        return program

    def kept(self, name: str) -> list[str]:
        file = self._folder / f"{name}.txt"
        return file.read_text().splitlines() if file.exists() else []

    def close(self) -> None:
        for program in self._programs:
            with program:
                program.kill()


@pytest.fixture
def site(folder: Path, realm: str) -> Iterator[Site]:
    made = Site(folder, realm)
    yield made
    made.close()


def post(port: int, message: str) -> bool:
    """Post a message to a webhook; return True if it was taken."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=seconds(10))
    try:
        connection.request("POST", "/", message)
        return connection.getresponse().status == 204
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


# --- publish and subscribe


def test_a_source_and_two_targets_find_each_other(site: Site) -> None:
    port = free_port()
    source, *targets = site.source(port), site.target("one"), site.target("two")
    assert wait_until(
        lambda: post(port, "hello") and "hello" in site.kept("one") and "hello" in site.kept("two")
    )
    assert [program.interrupt() for program in (source, *targets)] == [0, 0, 0]


def test_a_target_that_hangs_says_how_many_messages_it_has_not_sent(site: Site) -> None:
    port = free_port()
    source, target = site.source(port), site.target("one", "--drain_ms", "100")
    assert wait_until(lambda: post(port, "hello") and "hello" in site.kept("one"))
    assert post(port, "hang")
    assert post(port, "later")
    source.interrupt()  # everything is sent then
    target.signal(signal.SIGTERM)
    assert target.wait(5) == 0
    assert "target one: 2 messages not sent (1 in progress)" in target.lines


# --- reliable


def test_each_reliable_target_gets_all_messages_and_a_failed_one_becomes_a_dead_letter(
    site: Site, folder: Path
) -> None:
    port = free_port()
    reliable = (
        "--reliable",
        "--store",
        "alerts.db",
        "--group",
        "one",
        "--group",
        "two",
        "--max-deliver",
        "1",
    )
    source = site.source(port, *reliable)
    assert post(port, "before")
    one, two = site.target("one", "--reliable"), site.target("two", "--reliable")
    assert post(port, "poison")
    assert post(port, "after")
    for name in ("one", "two"):
        assert wait_until(lambda name=name: site.kept(name) == ["before", "after"])  # type: ignore[misc]
    assert [program.interrupt() for program in (one, two, source)] == [0, 0, 0]
    assert any("3 messages stored" in line for line in source.lines)
    result = CliRunner().invoke(colugo, ["stream", "dead", "--store", "alerts.db"])
    assert result.output.count("ValueError: poison") == 2, result.output


def test_a_reliable_target_takes_no_more_messages_than_it_sends(site: Site, folder: Path) -> None:
    port = free_port()
    lines = ["hang", *map(str, range(300))]
    store = ("--reliable", "--store", "alerts.db", "--group", "one", "--group", "two", "--max-deliver", "2")
    source = site.source(port, *store)
    assert all(post(port, line) for line in lines)
    one = site.target("one", "--reliable", "--drain-ms", "100")
    assert wait_until((folder / "hanging").exists)
    one.signal(signal.SIGTERM)
    assert one.wait(5) == 0
    assert "target one: 2 messages not sent (1 in progress)" in one.lines  # the others wait in the stream
    one = site.target("one", "--reliable", "--set", "queue=1", "--set", "timeout_ms=50")
    two = site.target("two", "--reliable", "--set", "queue=1", "--set", "timeout_ms=50")
    for name in ("one", "two"):
        assert wait_until(lambda name=name: sorted(site.kept(name)) == sorted(lines[1:]))  # type: ignore[misc]
    assert [program.interrupt() for program in (one, two, source)] == [0, 0, 0]


def test_a_reliable_source_that_ends_waits_until_its_target_has_everything(site: Site) -> None:
    lines = "\n".join(map(str, range(500)))
    source = site.run("source", "stdin", "--topic", "alerts", "--reliable", "--group", "one", stdin=lines)
    source.expect("all sources have ended")
    target = site.target("one", "--reliable")
    assert source.wait() == 0
    assert site.kept("one") == lines.splitlines()
    assert "source stdin: 500 messages stored" in source.lines
    assert target.interrupt() == 0


def test_a_source_without_a_store_waits_for_its_targets_and_says_what_is_lost(site: Site) -> None:
    port = free_port()
    source = site.source(port, "--reliable", "--drain-ms", "200")
    assert post(port, "one")
    assert source.interrupt() == 0
    assert "stream alerts: 1 undelivered message lost, because no --store was given" in source.lines


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_what_a_source_has_stored_reaches_every_target_whoever_is_killed(site: Site) -> None:
    port, chance = free_port(), random.Random(13)
    reliable = ("--reliable", "--store", "alerts.db", "--group", "one", "--group", "two")
    running = {
        "source": site.source(port, *reliable),
        "one": site.target("one", "--reliable"),
        "two": site.target("two", "--reliable"),
    }
    stored: set[str] = set()
    kills = ["source", "one", "two", "source", "one", "two"]
    chance.shuffle(kills)
    for number in range(700):
        if number % 100 == 99 and kills:
            victim = kills.pop()
            running[victim].kill()
            again = site.source(port, *reliable) if victim == "source" else site.target(victim, "--reliable")
            running[victim] = again
        if post(port, str(number)):
            stored.add(str(number))
    assert len(stored) == 700
    for name in ("one", "two"):
        assert wait_until(lambda name=name: stored <= set(site.kept(name)), 60), (  # type: ignore[misc]
            stored - set(site.kept(name))
        )
    assert [program.interrupt() for program in running.values()] == [0, 0, 0]


# --- arguments


@pytest.mark.parametrize(
    ("kind", "name", "words", "values"),
    [
        ("target", "tcp", ["127.0.0.1:9000"], {"host": "127.0.0.1", "port": "9000"}),
        ("target", "graphite", ["carbon.example"], {"host": "carbon.example"}),
        ("target", "graphite", ["[::1]:2004"], {"host": "::1", "port": "2004"}),
        ("source", "tcp", ["9000"], {"port": "9000"}),
        ("source", "udp", ["0.0.0.0:9000"], {"host": "0.0.0.0", "port": "9000"}),
        ("source", "timer", ["1000", "tock"], {"interval_ms": "1000", "message": "tock"}),
        ("source", "stdin", [], {}),
        ("source", "websocket", ["ws://[::1]:1/x"], {"url": "ws://[::1]:1/x"}),
    ],
)
def test_the_words_of_a_command_line_are_the_parameters_of_a_type(
    kind: Kind, name: str, words: list[str], values: dict[str, str]
) -> None:
    factory = Catalog().find(kind, name, KeyPath("TYPE"))
    assert section_of(factory, words, ["key = x=y"]).values == {**values, "key": " x=y"}


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("source",), "Missing argument 'TYPE [ARGS]...'"),
        (("source", "tcp", "9000"), "Missing option '--topic'"),
        (("source", "tcpx", "9000", "--topic", "x"), "unknown type of source 'tcpx'; did you mean 'tcp'?"),
        (("source", "tcp", "--topic", "x"), "source type 'tcp' needs port"),
        (("source", "tcp", "x", "--topic", "x"), "'x' is not an address: write [HOST:]PORT"),
        (("source", "tcp", "9000", "y", "--topic", "x"), "unexpected extra argument (y)"),
        (("source", "tcp", "99999", "--topic", "x"), "99999"),
        (("source", "websocket", "http://127.0.0.1", "--topic", "x"), "http://127.0.0.1"),
        (("source", "stdin", "--topic", "x", "--store", "x.db"), "--store and --group need --reliable"),
        (("source", "stdin", "--topic", "a b"), "a b"),
        (("source", "stdin", "--topic", "a b", "--reliable"), "a b"),
        (("target", "tcp", "::1", "--topic", "x"), "'::1' is not an address: write HOST:PORT"),
        (("target", "tcp", "h:1", "--topic", "x", "--set", "quue=1"), "did you mean 'queue'?"),
        (("target", "tcp", "h:1", "--topic", "x", "--set", "queue"), "--set takes KEY=VALUE, not 'queue'"),
        (("target", "tcp", "h:1", "--topic", "x", "--set", "queue=y"), "queue: expected int, got str ('y')"),
        (("target", "kept", "x", "--topic", "a.b*"), "whole words"),
        (
            ("target", "kept", "x", "--src", "targets", "--topic", "x", "--realm", "no realm"),
            "a realm has 1 to 24",
        ),
    ],
)
def test_wrong_usage_is_status_2_and_says_what_is_wrong(
    folder: Path, arguments: tuple[str, ...], text: str
) -> None:
    result = run_command(*arguments)
    assert result.exit_code == 2, result.output
    assert text in result.output


def run_command(*arguments: str) -> Result:
    return CliRunner().invoke(colugo, arguments)


def test_a_plugin_that_raises_is_status_3(folder: Path) -> None:
    assert run_command("target", "raising", "--src", "targets", "--topic", "x").exit_code == 3


def test_a_store_that_cannot_be_opened_is_status_1(folder: Path) -> None:
    (folder / "alerts.db").write_text("no store")
    result = run_command("source", "stdin", "--topic", "x", "--reliable", "--store", "alerts.db")
    assert result.exit_code == 1
    assert "alerts.db" in result.output


@pytest.mark.parametrize("command", ["source", "target"])
def test_the_help_names_the_exit_statuses_and_ends_with_examples(command: str) -> None:
    lines = [line.strip() for line in run_command(command, "--help").output.rstrip().splitlines()]
    assert "Exit status:" in lines
    after = lines[lines.index("Examples:") + 1 :]
    assert after
    assert all(line.startswith(f"colugo {command}") for line in after)
