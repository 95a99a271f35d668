"""Nodes of one user on one host use ipc where it works, and otherwise tcp."""

import asyncio
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from colugo import ConfigurationError, MessageInfo, Node
from colugo.testing import Network
from tests.support.essentials import Collector, Program, run, unix_connections, until, wait_until

if sys.platform != "linux":
    pytest.skip("ipc is used on Linux only", allow_module_level=True)

SERVER = """
import sys
from colugo import Node
node = Node("server")
publisher = node.add_publisher("t", port=int(sys.argv[1]) if len(sys.argv) > 1 else None)
server = node.add_reply_server("r", lambda message: message)
node.add_repeater(5, lambda: publisher.send("beat"))
print("at", *publisher.endpoints, *server.endpoints, flush=True)
node.start()
"""

BRIM = """
import logging, os, resource
logging.basicConfig(format="%(message)s")
resource.setrlimit(resource.RLIMIT_NOFILE, (200, 200))
from colugo import Node
node = Node("full")
publisher = node.add_publisher("t")
taken = []
def take(end):
    try:
        while len(taken) < end:
            taken.append(os.open("/dev/null", os.O_RDONLY))
    except OSError:
        print("full", flush=True)
def free():
    for one in taken:
        os.close(one)
node.add_delayed_callback(1, lambda: take(165))
node.add_delayed_callback(2500, lambda: take(200))
node.add_delayed_callback(3500, free)
node.start()
"""


MANY = """
import asyncio, logging, resource
logging.basicConfig(level=20, format="%(message)s")
resource.setrlimit(resource.RLIMIT_NOFILE, (200, 600))
from colugo.testing import Network
async def main():
    network = Network()
    async with network.node("many") as many, network.node("reader") as reader:
        publishers = [many.add_publisher(f"t.{number}") for number in range(60)]
        subscriber = reader.add_subscriber("t.#")
        await asyncio.gather(*(publisher.ready() for publisher in publishers))
        print(sum(len(publisher.endpoints) == 2 for publisher in publishers), "of 60 have a file", flush=True)
asyncio.run(main())
"""


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where the test's files are; not pytest's own temporary path, which is too long for a socket."""
    base = tempfile.mkdtemp(prefix="cg", dir="/tmp")
    monkeypatch.setenv("XDG_RUNTIME_DIR", base)
    yield Path(base) / f"colugo-{os.geteuid()}"
    shutil.rmtree(base)


def connections(folder: Path) -> int:
    return unix_connections(Path("/proc/net/unix").read_text(encoding="utf-8"), folder)


def files(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.is_socket()] if folder.exists() else []


async def talk(reader: Node) -> None:
    """Receive a message and get a reply."""
    subscriber = reader.add_subscriber("t")
    client = reader.add_request_client("r")
    try:
        async with asyncio.timeout(10):
            assert await anext(subscriber) == "beat"
        assert await client.request("question", 10_000) == "question"
    finally:
        subscriber.close()
        client.close()


def test_two_processes_of_one_host_talk_over_ipc(folder: Path, realm: str) -> None:
    async def main(server: Program) -> None:
        endpoints = server.expect("at ").split()[1:]
        assert [one.split(":")[0] for one in endpoints] == ["tcp", "ipc"] * 2
        async with Node("reader") as reader:
            subscriber = reader.add_subscriber("t")
            assert await anext(subscriber) == "beat"
            client = reader.add_request_client("r")
            assert await client.request("question") == "question"
            assert connections(folder) == 2

    with Program(["-c", SERVER], realm=realm) as server:
        run(main(server))
        assert folder.stat().st_mode & 0o777 == 0o700
        assert server.interrupt() == 0
        assert files(folder) == []


@pytest.mark.parametrize(("theirs", "ours"), [("0", "1"), ("1", "0"), ("0", "0")])
def test_one_that_has_ipc_off_talks_over_tcp(folder: Path, realm: str, theirs: str, ours: str) -> None:
    async def main() -> None:
        async with Node("reader", ipc=ours == "1") as reader:
            await talk(reader)
            assert connections(folder) == 0

    with Program(["-c", SERVER], realm=realm, env={"COLUGO_IPC": theirs}) as server:
        server.expect("at ")
        assert len(files(folder)) == (2 if theirs == "1" else 0)
        run(main())


def test_without_the_file_they_talk_over_tcp(folder: Path, realm: str) -> None:
    async def main() -> None:
        async with Node("reader") as reader:
            await talk(reader)
            assert connections(folder) == 0

    with Program(["-c", SERVER], realm=realm) as server:
        server.expect("at ")
        for path in files(folder):
            path.unlink()
        run(main())


@pytest.mark.parametrize("flaw", ["open to others", "a link", "of another user"])
def test_a_folder_that_others_may_touch_is_not_used_and_that_is_logged(
    folder: Path, flaw: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    if flaw == "a link":
        (folder.parent / "elsewhere").mkdir(0o700)
        folder.symlink_to(folder.parent / "elsewhere")
    elif flaw == "open to others":
        folder.mkdir()
        folder.chmod(0o755)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 4711)
        folder = folder.parent / "colugo-4711"
        folder.mkdir(0o700)

    async def main() -> None:
        async with Node("server") as server:
            publisher = server.add_publisher("t")
            server.add_reply_server("r", lambda message: message)
            server.add_repeater(5, lambda: publisher.send("beat"))
            assert len(publisher.endpoints) == 1
            async with Node("reader") as reader:
                await talk(reader)

    run(main())
    assert files(folder) == []
    told = [one for one in caplog.records if "must be a folder that belongs to this user" in one.getMessage()]
    assert [(one.name, one.levelname) for one in told] == [("server", "WARNING"), ("reader", "WARNING")]


def test_a_path_that_is_too_long_for_a_socket_means_tcp_and_is_logged(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    long = folder.parent / ("x" * 80)
    long.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(long))
    with caplog.at_level(logging.INFO):
        node = Node("a")
        publishers = [node.add_publisher("t"), node.add_publisher("u")]
        node.stop()
    assert [len(one.endpoints) for one in publishers] == [1, 1]
    assert caplog.text.count("are longer than 100 bytes") == 1
    assert list(long.iterdir()) == []


def test_a_folder_that_cannot_be_made_means_tcp(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/proc")
    with caplog.at_level(logging.INFO):
        node = Node("a")
        assert len(node.add_publisher("t").endpoints) == 1
        node.stop()
    assert "tcp instead of ipc on this host" in caplog.text
    assert files(folder) == []


@pytest.mark.parametrize("value", ["", "relative", "/nowhere"])
def test_a_runtime_folder_that_is_none_means_the_temporary_one(
    monkeypatch: pytest.MonkeyPatch, folder: Path, value: str
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", value)
    monkeypatch.setattr(tempfile, "tempdir", str(folder.parent))
    node = Node("a")
    publisher = node.add_publisher("t")
    assert [f"ipc://{path}" for path in files(folder)] == publisher.endpoints[1:]
    node.stop()


def test_the_variable_that_turns_it_off_takes_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUGO_IPC", "maybe")
    with pytest.raises(ConfigurationError, match="COLUGO_IPC must be 0 or 1, not 'maybe'"):
        Node("a")
    Node("a", ipc=False).stop()


def test_files_of_killed_processes_are_removed_by_the_next_node_and_no_others(
    folder: Path, realm: str
) -> None:
    with Program(["-c", SERVER], realm=realm) as killed, Program(["-c", SERVER], realm=realm) as alive:
        killed.expect("at ")
        alive.expect("at ")
        (old, young, *living) = (
            Path(one.removeprefix("ipc://"))
            for program in (killed, alive)
            for one in program.lines[0].split()
            if one.startswith("ipc")
        )
        killed.kill()
        (folder / "another file").touch()
        for path in folder.iterdir():
            if path != young:
                os.utime(path, (0, 0))
        node = Node("next")
        node.add_publisher("t")
        assert not old.exists()
        assert young.is_socket()
        assert all(path.is_socket() for path in living)
        assert (folder / "another file").exists()
        node.stop()


def test_many_starts_and_stops_leave_no_file(folder: Path) -> None:
    async def main() -> None:
        for _ in range(20):
            async with Node("a") as a, Node("b") as b:
                publisher = a.add_publisher("t")
                a.add_reply_server("r", lambda message: message)
                client = b.add_request_client("r")
                b.add_subscriber("t", print)
                await publisher.ready()
                await client.ready()
                assert len(files(folder)) == 2
            assert files(folder) == []
        never = Node("never started")
        never.add_publisher("t")
        never.stop()
        assert files(folder) == []

    run(main())


def test_one_whose_file_has_vanished_is_met_over_tcp_after_a_loss(folder: Path) -> None:
    async def main() -> None:
        network = Network()
        async with network.node("server") as server, network.node("reader") as reader:
            publisher = server.add_publisher("t")
            plain = server.add_publisher("p", framing="raw")
            replier = server.add_reply_server("r", lambda message: message)
            heard, events = Collector(), Collector()
            for topic in ("t", "p"):
                reader.add_subscriber(topic, heard, on_disconnect=lambda peer, reason: events(reason))
            client = reader.add_request_client("r", on_disconnect=lambda peer, reason: events(reason))
            await publisher.ready()
            await plain.ready()
            await client.ready()
            for path in files(folder):
                path.unlink()
            assert await client.request("the connection lasts") == "the connection lasts"
            for part in (publisher, plain, replier):
                part._socket.unbind(part.endpoints[-1])  # which ends its connections
            assert await events.reach(3) == ["lost"] * 3
            await publisher.ready()
            await plain.ready()
            publisher.send("framed")
            plain.send("raw")
            assert set(await heard.reach(2)) == {"framed", b"raw"}
            assert await client.request("still there", 10_000) == "still there"
            assert events.items == ["lost"] * 3
            assert connections(folder) == 0

    run(main())


def test_a_file_that_nobody_has_bound_any_more_is_not_connected_to(folder: Path, realm: str) -> None:
    async def main() -> None:
        async with Node("reader") as reader:
            with Program(["-c", SERVER], realm=realm) as server:
                await talk(reader)
                stale = [path.name for path in files(folder)]
                find = reader._runtime.ipc.find
                assert all(find(bytes.fromhex(name)) for name in stale)
                server.kill()
                assert [path.name for path in files(folder)] == stale
                await until(lambda: not any(find(bytes.fromhex(name)) for name in stale))

    run(main())


@pytest.mark.slow
@pytest.mark.parametrize("order", [("0", "1"), ("1", "0"), ("1", "1")])
def test_restarted_on_its_port_with_and_without_ipc_each_message_comes_once(
    folder: Path, realm: str, order: tuple[str, str]
) -> None:
    async def main() -> None:
        async with Node("probe") as probe:
            port = probe.add_publisher("p").endpoints[0].rsplit(":", 1)[1]
        async with Node("watcher") as watcher:
            peers, numbers = Collector(), Collector()

            def number(_: str, info: MessageInfo) -> None:
                numbers((info.peer.socket_id, info.sequence))

            watcher.add_subscriber("t", number, peers)
            for count, ipc in enumerate((*order, *order), 1):
                with Program(["-c", SERVER, port], realm=realm, env={"COLUGO_IPC": ipc}) as victim:
                    await peers.reach(count)
                    await numbers.reach(len(numbers.items) + 50)
                    victim.kill()
            assert len(set(numbers.items)) == len(numbers.items)

    run(main(), within=40)
    assert folder.exists()


@pytest.mark.slow
def test_one_that_runs_out_of_descriptors_takes_its_file_away_and_lives_on(folder: Path, realm: str) -> None:
    async def main(program: Program) -> None:
        async with Node("reader") as reader:
            peers = Collector()
            reader.add_subscriber("t", print, peers)
            await peers.reach(1)
            assert connections(folder) == 0
        assert program.interrupt() == 0

    with Program(["-c", BRIM], realm=realm) as program:
        program.expect("almost reached its limit of open files")
        assert wait_until(lambda: files(folder) == [])
        program.expect("full")
        run(main(program))


def test_with_many_sockets_and_few_descriptors_some_have_a_file_and_all_are_met(
    folder: Path, realm: str
) -> None:
    with Program(["-c", MANY], realm=realm) as program:
        count = int(program.expect("of 60 have a file").split()[0])
        assert 5 < count < 40
        assert program.wait() == 0
        assert sum("limit of open files is too low" in line for line in program.lines) == 1
    assert files(folder) == []
