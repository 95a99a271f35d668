"""The benchmark of streams: what counts its messages, and the servers of the libraries that need one."""

import os
import shutil
import signal
import sys
from importlib import metadata
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.benching import FakeChild
from tests.support.essentials import Program, seconds, wait_until
from tools.bench import commands, libraries, streaming
from tools.bench.benchmark import Benchmark, Options
from tools.bench.libraries import STREAMS
from tools.bench.peers import rabbitmq_broker
from tools.bench.peers.network import Network, free_port
from tools.bench.peers.server import Server
from tools.bench.processes import NoAnswerError
from tools.bench.rounds import RoundFailedError
from tools.bench.streaming import Case, Streaming
from tools.bench.tally import Tally, numbered

_LISTENING = """
import socket, sys, time
with socket.create_server(("127.0.0.1", int(sys.argv[1]))):
    time.sleep(60)
"""
_SERVING = """
from tools.bench.peers.server import Server
with Server(["sleep", "60"]) as server:
    print("group", server.group)
    input()
"""


def _ended(process: psutil.Process) -> bool:
    """Return True if it has ended, or nobody has waited for it yet."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@given(st.integers(0, 1 << 40), st.lists(st.integers(0, 39), max_size=60))
def test_a_tally_tells_when_all_have_come_and_counts_what_came_again(first: int, order: list[int]) -> None:
    tally = Tally()
    messages = list(numbered(200, first, 40))
    tally.expect(200, first, 40)
    came: set[int] = set()
    for number in order:
        tally.take(messages[number])
        came.add(number)
    assert (tally.arrived, tally.doubled, tally.wrong) == (len(came), len(order) - len(came), 0)
    missing = [number for number in range(40) if number not in came]
    assert [tally.take(messages[number]) for number in missing] == [
        number == missing[-1] for number in missing
    ]
    assert tally.arrived == 40


@pytest.mark.parametrize(
    "message",
    [
        next(numbered(199, 100, 1)),
        next(numbered(200, 99, 1)),
        next(numbered(200, 110, 1)),
        next(numbered(200, 109, 1))[:-1] + b"?",
        b"",
    ],
    ids=["shorter", "of the round before", "of a later round", "damaged", "empty"],
)
def test_a_message_that_was_not_sent_so_is_wrong(message: bytes) -> None:
    tally = Tally()
    tally.expect(200, 100, 10)
    tally.take(message)
    assert (tally.wrong, tally.doubled) == (1, 0)


class _Fake(FakeChild):
    """A process that sends, or one that loses, doubles or damages what comes."""

    def tell(self, line: str) -> None:
        if line.startswith("send"):
            _Fake.count = int(line.split()[3])

    def ask(self, line: str, *words: str, within: float) -> list[str]:
        return [str(self.count - self.lost), str(self.doubled), str(self.wrong)]

    def expect(self, *words: str, within: float) -> list[str]:
        if words == ("finished",):
            if self.lost:
                raise NoAnswerError("silence")
            return ["500000001"]
        return ["1", "1000000001"]


@pytest.fixture
def fake_streaming(monkeypatch: pytest.MonkeyPatch) -> Streaming:
    monkeypatch.setattr(streaming, "Child", _Fake)
    found = Streaming("colugo", 1, Case("disk 100", "disk", 100))
    found.calibrate(0.5)
    return found


def test_a_rate_reckons_until_the_last_is_confirmed_and_acknowledged(fake_streaming: Streaming) -> None:
    assert fake_streaming.rate() == _Fake.count > 0


@pytest.mark.parametrize(
    ("fault", "number", "complaint"),
    [
        ("lost", 3, "3 of [0-9]+ messages lost"),
        ("doubled", 2, "2 of [0-9]+ messages came more than once"),
        ("wrong", 1, "at least 1 of [0-9]+ messages damaged, or not of this round"),
    ],
)
def test_a_round_in_which_not_each_came_once_says_so(
    fault: str, number: int, complaint: str, fake_streaming: Streaming, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_Fake, fault, number)
    with pytest.raises(RoundFailedError, match=complaint) as raised:
        fake_streaming.rate()
    assert raised.value.lost == (number if fault == "lost" else 0)


def test_a_server_has_its_files_and_ends_with_all_it_started_when_it_is_closed(tmp_path: Path) -> None:
    children = tmp_path / "children"
    script = (
        f"sleep 60 & echo $! $$ > {children}.new; mv {children}.new {children}; cat {{folder}}/a $B; wait"
    )
    with Server(
        ["/bin/sh", "-c", script], files={"a": "in {folder}"}, environment={"B": "{folder}/a"}
    ) as server:
        assert wait_until(children.exists)
        folder = Path(server._folder.name)
        assert wait_until(lambda: server._output.read_text(encoding="utf-8") == f"in {folder}" * 2)
        processes = [psutil.Process(int(pid)) for pid in children.read_text(encoding="utf-8").split()]
        assert not any(_ended(process) for process in processes)
    assert wait_until(lambda: all(_ended(process) for process in processes))
    assert not folder.exists()


def test_a_server_that_does_not_end_is_killed() -> None:
    with Server(["/bin/sh", "-c", "trap '' TERM; echo up; sleep 60; sleep 60"], end_s=0.1) as server:
        assert wait_until(lambda: server._output.read_text(encoding="utf-8"))
        members = psutil.Process(server.group).children(recursive=True)
        assert members
    assert wait_until(lambda: all(_ended(member) for member in members))


def test_a_server_ends_when_the_benchmark_is_killed(realm: str, tmp_path: Path) -> None:
    with Program(["-c", _SERVING], realm=realm, env={"TMPDIR": str(tmp_path)}, told=True) as program:
        group = int(program.expect("group").split()[1])
        assert wait_until(lambda: len(psutil.Process(group).children()) == 1)
        processes = [psutil.Process(group), *psutil.Process(group).children()]
        program.signal(signal.SIGKILL)
        assert wait_until(lambda: all(_ended(process) for process in processes))


def test_a_server_is_waited_for_and_one_that_does_not_listen_is_quoted() -> None:
    port = free_port()
    with Server([sys.executable, "-c", _LISTENING, str(port)]) as server:
        server.listening(port, seconds(15))
    with Server(["/bin/sh", "-c", "echo no room left"]) as server:
        assert wait_until(lambda: server._output.read_text(encoding="utf-8"))
        with pytest.raises(NoAnswerError, match=r"sh does not listen after 0\.1 s; .*: no room left"):
            server.listening(port, 0.1)


@pytest.fixture
def no_rabbitmq(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "version", lambda _: "10.0")
    monkeypatch.setattr(rabbitmq_broker, "_DEBIAN", Path("/nonexistent"))
    monkeypatch.setattr(shutil, "which", lambda _: None)


@pytest.mark.usefixtures("no_rabbitmq")
def test_without_its_server_a_library_is_left_out_and_the_package_named() -> None:
    benchmark = Benchmark("streams", "Messages.", STREAMS, 1, lambda _: [])
    assert libraries.version("rabbitmq") is None
    assert benchmark.missing(Options()) == {
        "rabbitmq": "pip install aio-pika; apt-get install rabbitmq-server"
    }
    assert "rabbitmq" not in Options().libraries(STREAMS, "streams")
    assert benchmark.missing(Options(peers=["colugo"])) == {}


@pytest.mark.usefixtures("no_rabbitmq")
def test_what_is_left_out_is_a_failure_in_ci_only(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    benchmark = Benchmark("streams", "Messages.", STREAMS, 1, lambda _: [])
    monkeypatch.delenv("COLUGO_CI", raising=False)
    assert commands._run(benchmark, Options(), None)
    assert "Left out: rabbitmq" in capsys.readouterr().err
    monkeypatch.setenv("COLUGO_CI", "1")
    assert not commands._run(benchmark, Options(), None)
    assert commands._run(benchmark, Options(peers=["colugo"]), None)


def _require_rabbitmq() -> None:
    """Skip the test where the server is not installed; in CI that is a failure."""
    if rabbitmq_broker.program() is not None:
        return
    if os.environ.get("COLUGO_CI"):
        pytest.fail("CI must be able to run this test: rabbitmq-server is not installed")
    pytest.skip("needs rabbitmq-server")


@pytest.mark.slow
def test_rabbitmq_listens_on_loopback_only_and_leaves_nothing_behind() -> None:
    _require_rabbitmq()
    port = free_port()
    with rabbitmq_broker.Broker(Network(port)):
        family = psutil.Process().children(recursive=True)
        names = {process.name() for process in family}
        listening = {
            connection.laddr
            for process in family
            for connection in process.net_connections()
            if connection.status == psutil.CONN_LISTEN
        }
    assert port in {address.port for address in listening}
    assert {address.ip for address in listening} <= {"127.0.0.1", "::1"}
    assert names >= {"epmd", "beam.smp"}
    assert wait_until(lambda: all(_ended(process) for process in family))
