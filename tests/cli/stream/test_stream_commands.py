"""`colugo stream`, on running nodes and on files, and its misuse."""

import json
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from click.testing import CliRunner, Result

from colugo import Messenger, Node
from colugo.cli.main import colugo
from colugo.cli.stream.tables import amount, when
from tests.support.essentials import Collector, Program, new_realm, run, seconds, wait_until
from tests.support.processes import answer, program

COMMANDS = ("ls", "show", "dead", "resurrect", "purge", "forget", "salvage")
UNKNOWN = "0123456789abcdef-1"
WAIT = ("--wait", str(seconds(0.5)))


def stream(*arguments: str | Path, stdin: str = "") -> Result:
    return CliRunner().invoke(colugo, ["stream", *map(str, arguments)], input=stdin)


def found(*arguments: str | Path) -> Any:
    """Return the JSON output of a command."""
    result = stream(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


class Site:
    """Running nodes, and the ids of the messages that their streams were sent."""

    def __init__(self, realm: str) -> None:
        self._realm = realm
        self._programs = ExitStack()

    def node(self, name: str, **options: Any) -> tuple[Program, list[str]]:
        process = self._programs.enter_context(program("stream_site", self._realm, node=name, **options))
        return process, answer(process, "begun")["ids"]

    def close(self) -> None:
        self._programs.close()


@pytest.fixture
def site(realm: str) -> Iterator[Site]:
    made = Site(realm)
    yield made
    made.close()


@pytest.fixture
def file(site: Site, tmp_path: Path) -> tuple[Path, list[str]]:
    """A store that nobody has open, with three messages kept for `archive`, two dead letters of `billing`."""
    path = tmp_path / "orders.db"
    process, ids = site.node("till", topic="orders", store=str(path), groups=["archive"], poison=2)
    process.interrupt()
    return path, ids


# --- messages of messengers


@pytest.mark.parametrize(
    ("codec", "payload", "shown"),
    [
        ("msgpack", {"to": "Ada", 1: b"\xff"}, "{'to': 'Ada', 1: b'\\xff'}\n"),
        ("msgpack", "\ud800".encode(errors="surrogatepass"), "b'\\xed\\xa0\\x80'\n"),
        ("json", {"to": "Ada"}, '{"to":"Ada"}\n'),
        ("pickle", {1}, "--payload writes the whole message:"),
    ],
)
def test_a_message_that_a_messenger_has_left_in_its_store_can_be_read(
    tmp_path: Path, codec: str, payload: object, shown: str
) -> None:
    store = tmp_path / "outbox.db"
    with Messenger(store=store, realm=new_realm(), codec=codec, auto_start=False) as messenger:
        messenger.send_message("parcels", payload, ack=1)
    (message,) = found("show", "--store", store)
    result = stream("show", "--store", store, message["id"])
    assert result.exit_code == 0
    assert "name     parcels\n" in result.stdout
    assert f"codec    {codec}\n" in result.stdout
    assert shown in result.stdout


# --- usage


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("show",), "Missing argument 'TOPIC', or option '--store'"),
        (("dead",), "Missing argument 'TOPIC'"),
        (("resurrect", "--all"), "Missing argument 'TOPIC'"),
        (("forget",), "Missing argument 'TOPIC'"),
        (("forget", "orders"), "Missing argument 'GROUP'"),
        (("forget", "orders", "a", "b"), "unexpected extra argument (b)"),
        (("forget", "orders", ""), "must not be empty"),
        (("dead", "orders", "more"), "unexpected extra argument (more)"),
        (("purge", "orders", "more", "--all"), "unexpected extra argument (more)"),
        (("show", "orders", UNKNOWN, "more"), "unexpected extra argument (more)"),
        (("show", "a b"), "a b"),
        (("ls", "a.b*"), "whole words"),
        (("show", "orders", "12"), "'12' is not a message id, such as 0001020304050607-1"),
        (("show", "orders", f"{UNKNOWN}\n"), "is not a message id"),
        (("show", "orders", "0123456789abcdef-0"), "is not a message id"),
        (("show", "orders", f"0123456789abcdef-{2**64}"), "is not a message id"),
        (("show", "orders", "--after", "x"), "'x' is not a message id"),
        (("show", "orders", "--payload"), "needs the ID of a message"),
        (("show", "orders", "--limit", "0"), "0 is not in the range"),
        (("dead", "orders", "--id", "x"), "'x' is not a message id"),
        (("dead", "orders", "--key", "a.b*"), "whole words"),
        (("dead", "orders", "--group", ""), "must not be empty"),
        (("resurrect", "orders"), "Select dead letters with --all, --id, --group or --key"),
        (("purge", "orders", "--yes"), "Select dead letters with"),
        (("purge", "orders", "--group", ""), "must not be empty"),
        (("purge", "orders", "--all", "--key", "a"), "--all excludes --id, --group and --key"),
        (("ls", "--store", "nowhere.db"), "'nowhere.db' does not exist"),
        (("ls", "--store", "."), "is a directory"),
        (("salvage", "nowhere.db", "new.db"), "'nowhere.db' does not exist"),
        (("ls", "--realm", "no realm"), "a realm has 1 to 24"),
    ],
)
def test_wrong_usage_is_status_2_and_says_what_is_wrong(arguments: tuple[str, ...], text: str) -> None:
    result = stream(*arguments)
    assert result.exit_code == 2, result.output
    assert text in " ".join(result.output.split())


def test_a_file_has_neither_node_nor_topic(file: tuple[Path, list[str]]) -> None:
    path, _ = file
    for arguments in (
        ("ls", "--node", "till"),
        ("ls", "orders"),
        ("dead", "orders"),
        ("purge", "orders", "--all"),
        ("show", "orders"),
        ("forget", "orders", "billing"),
    ):
        result = stream(*arguments, "--store", path)
        assert result.exit_code == 2
        assert "leave" in result.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_names_the_exit_statuses_and_ends_with_examples(command: str) -> None:
    lines = [line.strip() for line in stream(command, "--help").output.rstrip().splitlines()]
    assert "Exit status:" in lines
    after = lines[lines.index("Examples:") + 1 :]
    assert after
    assert all(line.startswith(f"colugo stream {command} ") or line == "colugo stream ls" for line in after)


def test_the_groups_help_names_all_commands() -> None:
    output = stream("--help").output
    assert all(f"\n  {command} " in output for command in COMMANDS)


# --- running nodes


def test_streams_are_listed_with_what_they_keep_and_for_whom(site: Site) -> None:
    site.node("till", topic="orders", groups=["archive"], poison=2, keep=True)
    site.node("lab", topic="readings")
    orders, readings = found("ls", *WAIT)
    assert (orders["topic"], orders["node"], orders["messages"], orders["dead"]) == ("orders", "till", 3, 2)
    groups = {one["name"]: (one["members"], one["waiting"], one["in_flight"]) for one in orders["groups"]}
    assert groups == {"archive": (0, 3, 0), "billing": (1, 0, 0)}
    assert (readings["topic"], readings["messages"]) == ("readings", 0)
    result = stream("ls", *WAIT)
    assert result.exit_code == 0
    lines = [line.split() for line in result.output.splitlines()]
    columns = ["topic", "node", "messages", "size", "dead", "group", "members", "waiting", "in", "flight"]
    assert lines[0] == columns
    assert lines[1][:3] + lines[1][5:] == ["orders", "till", "3", "2", "archive", "0", "3", "0"]
    assert lines[2] == ["billing", "1", "0", "0"]
    assert [line[:2] for line in lines[3:]] == [["readings", "lab"]]
    assert [one["topic"] for one in found("ls", "readings", *WAIT)] == ["readings"]
    assert [one["node"] for one in found("ls", "--node", "till", *WAIT)] == ["till"]


@pytest.mark.slow
def test_a_topic_that_no_stream_has_is_status_1_and_says_which_there_are(site: Site) -> None:
    result = stream("ls", *WAIT)
    assert (result.exit_code, result.output.startswith("No streams found.")) == (1, True)
    result = stream("show", "orders", *WAIT)
    assert (result.exit_code, "nor any other; run `colugo nodes`" in result.output) == (1, True)
    site.node("till", topic="orders")
    for command in (
        ("show", "order"),
        ("dead", "order"),
        ("purge", "order", "--all"),
        ("forget", "order", "g"),
    ):
        result = stream(*command, *WAIT)
        assert result.exit_code == 1
        assert "no stream order found; known streams: orders of node till" in result.stderr
    result = stream("show", "orders", "--node", "other", *WAIT)
    assert (result.exit_code, "no stream orders found on node other" in result.stderr) == (1, True)


@pytest.mark.slow
def test_a_topic_that_is_a_file_is_told_of_store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "orders.db").touch()
    monkeypatch.chdir(tmp_path)
    result = stream("dead", "orders.db", *WAIT)
    assert (result.exit_code, "use --store orders.db" in result.stderr) == (1, True)


@pytest.mark.slow
def test_messages_are_shown_by_pages_and_whole(site: Site) -> None:
    _, ids = site.node("till", topic="orders", groups=["archive"], poison=2)
    _, others = site.node("web", topic="orders", groups=["archive"])
    shown = found("show", "orders", *WAIT)
    assert [(one["node"], one["id"], one["preview"]) for one in shown] == [
        ("till", ids[0], "fine"),
        ("till", ids[1], "poison 0"),
        ("till", ids[2], "poison 1"),
        ("web", others[0], "fine"),
    ]
    assert [one["id"] for one in found("show", "orders", "--limit", "1", *WAIT)] == [ids[0], others[0]]
    assert [one["id"] for one in found("show", "orders", "--after", ids[0], *WAIT)] == ids[1:]
    result = stream("show", "orders", "--limit", "2", *WAIT)
    assert "orders of node till keeps 3 messages." in result.output
    assert f"For more, use --after {ids[1]}, or a larger --limit." in result.output
    assert f"--after {others[0]}" not in result.output

    # one that waits for a group, and is a dead letter of another
    message, letter = found("show", "orders", ids[1], *WAIT)
    assert (message["dead"], message["payload"]) == (False, "poison 0")
    assert (letter["dead"], letter["group"], letter["attempts"]) == (True, "billing", 1)
    assert "ValueError: no such article: poison 0" in letter["traceback"]
    result = stream("show", "orders", ids[0], *WAIT)
    assert 'headers  {"n": 1}' in result.output
    assert result.output.endswith("\n\nfine\n")
    result = stream("show", "orders", ids[1], *WAIT)
    assert "Traceback (most recent call last):\n" in result.output
    result = stream("show", "orders", ids[1], "--payload", *WAIT)
    assert result.stdout_bytes == b"poison 0"
    for unknown in (UNKNOWN, ids[0].replace("-1", "-77")):
        result = stream("show", "orders", unknown, *WAIT)
        assert result.exit_code == 1
        assert f"has a message or dead letter with id {unknown}" in result.stderr
    assert stream("show", "orders", "--after", UNKNOWN, *WAIT).exit_code == 1


@pytest.mark.slow
def test_dead_letters_are_listed_resurrected_and_purged(site: Site) -> None:
    _, ids = site.node("till", topic="orders", poison=4)
    assert [one["id"] for one in found("dead", "orders", *WAIT)] == ids[1:]
    assert [one["id"] for one in found("dead", "orders", "--limit", "2", *WAIT)] == ids[1:3]
    assert [one["id"] for one in found("dead", "orders", "--key", "*.2", *WAIT)] == [ids[3]]
    assert found("dead", "orders", "--group", "other", *WAIT) == []
    assert found("dead", "orders", "--id", UNKNOWN, *WAIT) == []
    result = stream("dead", "orders", "--group", "billing", *WAIT)
    assert result.output.startswith("orders of node till has 4 dead letters; 4 shown.\n")
    assert "no such article: poison 3" in result.output

    result = stream("resurrect", "orders", "--id", ids[1], "--id", ids[2], *WAIT)
    assert result.output == "orders of node till: 2 dead letters queued for redelivery.\n"
    assert [one["headers"] for one in found("show", "orders", *WAIT)] == [
        {"colugo-first-id": ids[1]},
        {"colugo-first-id": ids[2]},
    ]
    for which in (("--id", ids[1]), ("--group", "other"), ("--key", "none")):
        result = stream("resurrect", "orders", *which, *WAIT)
        assert result.exit_code == 1
        assert "no dead letters" in result.stderr

    result = stream("purge", "orders", "--all", *WAIT, stdin="n\n")
    assert result.exit_code == 1
    assert "orders of node till (2 dead letters): delete all permanently? [y/N]" in result.stderr
    assert len(found("dead", "orders", *WAIT)) == 2
    result = stream("purge", "orders", "--all", *WAIT)  # nobody is there to say yes
    assert result.exit_code == 1
    assert len(found("dead", "orders", *WAIT)) == 2
    result = stream("purge", "orders", "--key", "order.2", *WAIT, stdin="y\n")
    assert result.stdout == "orders of node till: 1 dead letter deleted.\n"
    result = stream("purge", "orders", "--all", "--yes", *WAIT)
    assert result.stdout == "orders of node till: 1 dead letter deleted.\n"
    for command in ("purge", "resurrect"):  # nothing is asked of nothing
        result = stream(command, "orders", "--all", *WAIT)
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr == "Error: no dead letters found\n"


@pytest.mark.slow
def test_a_group_is_forgotten_by_all_streams_of_the_topic(site: Site) -> None:
    site.node("till", topic="orders", groups=["archive"])
    site.node("web", topic="orders", keep=True)
    assert wait_until(
        lambda: all(
            {"archive", "billing"} == {group["name"] for group in one["groups"]} for one in found("ls", *WAIT)
        )
    )
    result = stream("forget", "orders", "billing", *WAIT)
    assert result.exit_code == 1
    assert "the group billing is in use: it has consumers on" in result.stderr
    result = stream("forget", "orders", "nobody", *WAIT)
    assert result.exit_code == 1
    assert "no group nobody found; known groups: " in result.stderr
    result = stream("forget", "orders", "archive", *WAIT, stdin="n\n")
    assert result.exit_code == 1
    assert "may wait for archive only and would be lost. Forget it?" in result.stderr
    result = stream("forget", "orders", "archive", "--yes", *WAIT)
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        f"orders of node {node} forgot the group archive." for node in ("till", "web")
    ]
    for one in found("ls", *WAIT):
        assert {group["name"] for group in one["groups"]} == {"billing"}
        assert one["messages"] == 0


@pytest.mark.slow
def test_a_node_that_does_not_answer_is_named_and_the_others_are_asked(site: Site) -> None:
    _, ids = site.node("till", topic="orders", groups=["archive"])
    frozen, _ = site.node("frozen", topic="orders")
    frozen.signal(signal.SIGSTOP)  # its socket still takes connections
    try:
        result = stream("show", "orders", *WAIT, "--json")
    finally:
        frozen.signal(signal.SIGCONT)
    assert result.exit_code == 1
    assert "orders of node frozen does not answer:" in result.stderr
    assert [one["id"] for one in json.loads(result.stdout)] == ids


# --- files


def test_a_file_is_looked_at_and_changed_as_a_running_stream_is(file: tuple[Path, list[str]]) -> None:
    path, ids = file
    (listed,) = found("ls", "--store", path)
    assert (listed["store"], listed["messages"], listed["dead"]) == (str(path), 3, 2)
    assert {one["name"]: one["waiting"] for one in listed["groups"]} == {"archive": 3, "billing": 0}
    assert stream("ls", "--store", path).output.splitlines()[1].split()[:2] == ["orders", "orders.db"]
    assert [one["id"] for one in found("show", "--store", path)] == ids
    assert [one["dead"] for one in found("show", "--store", path, ids[2])] == [False, True]
    assert [one["id"] for one in found("dead", "--store", path, "--key", "order.1")] == [ids[2]]
    assert stream("resurrect", "--store", path, "--id", ids[1]).exit_code == 0
    assert stream("purge", "--store", path, "--all", "--yes").exit_code == 0
    assert stream("forget", "--store", path, "archive", "--yes").exit_code == 0
    (listed,) = found("ls", "--store", path)
    assert (listed["dead"], [one["name"] for one in listed["groups"]]) == (0, ["billing"])
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]

    async def main() -> None:
        handled = Collector()
        async with Node("again") as node:
            again = node.add_stream("orders", store=path)
            node.add_consumer(
                "orders", lambda message, delivery: handled((message, delivery.headers)), group="billing"
            )
            assert await handled.reach(1) == [("poison 0", {"colugo-first-id": ids[1]})]
            await again.drained()
            assert "archive" not in again.groups

    run(main())


def test_looking_at_a_file_changes_nothing_in_it(file: tuple[Path, list[str]]) -> None:
    path, ids = file
    before = path.read_bytes()
    for arguments in (("ls",), ("show",), ("show", ids[1]), ("dead",)):
        assert stream(*arguments, "--store", path).exit_code == 0
    assert path.read_bytes() == before
    assert sorted(one.name for one in path.parent.iterdir()) == [path.name]


def test_a_store_that_a_node_has_open_is_left_to_it(site: Site, tmp_path: Path) -> None:
    path = tmp_path / "orders.db"
    site.node("till", topic="orders", store=str(path), poison=1)
    for arguments in (("ls",), ("purge", "--all", "--yes")):
        result = stream(*arguments, "--store", path)
        assert result.exit_code == 1
        assert "is open in another node or program" in result.stderr
        assert "without --store" in result.stderr
    assert len(found("dead", "orders", *WAIT)) == 1


@pytest.mark.parametrize(
    ("content", "text"),
    [(b"text that is no store\n" * 100, "is not a store"), (b"", "is an empty file")],
)
def test_what_is_no_store_is_not_touched(content: bytes, text: str, tmp_path: Path) -> None:
    path = tmp_path / "notes.db"
    path.write_bytes(content)
    result = stream("ls", "--store", path)
    assert (result.exit_code, text in result.stderr) == (1, True)
    assert path.read_bytes() == content
    other = tmp_path / "other.db"
    with closing(sqlite3.connect(other)) as connection:
        connection.execute("CREATE TABLE t (a)")
    result = stream("dead", "--store", other)
    assert (result.exit_code, "of another program" in result.stderr) == (1, True)


def test_what_the_environment_says_of_nodes_does_not_matter_to_a_file(
    file: tuple[Path, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _ = file
    for variable in ("COLUGO_PEERS", "COLUGO_PORT", "COLUGO_MDNS", "COLUGO_IPC", "COLUGO_SCOPE"):
        monkeypatch.setenv(variable, "nonsense")
    assert stream("ls", "--store", path).exit_code == 0
    assert stream("ls").exit_code == 2


def test_what_the_last_group_has_not_had_waits_for_the_next_one(tmp_path: Path) -> None:
    path = tmp_path / "orders.db"

    async def main() -> None:
        async with Node("till") as node:
            orders = node.add_stream("orders", store=path, groups=["billing"])
            for text in "12":
                await orders.send_wait(text)

    run(main())
    result = stream("forget", "--store", path, "billing")  # asks nothing, for nothing would be gone
    assert result.exit_code == 0
    assert "It keeps its 2 messages for the next consumer group." in result.stdout
    assert len(found("show", "--store", path)) == 2


def test_dead_letters_of_a_group_that_was_forgotten_are_said_to_stay(file: tuple[Path, list[str]]) -> None:
    path, _ = file
    assert stream("forget", "--store", path, "billing", "--yes").exit_code == 0
    for which in (("--all",), ("--group", "billing")):
        result = stream("resurrect", "--store", path, *which)
        assert result.exit_code == 1
        assert "the dead letters of billing stay" in result.stderr
    assert len(found("dead", "--store", path)) == 2


def test_what_can_be_read_of_a_damaged_store_is_copied(file: tuple[Path, list[str]], tmp_path: Path) -> None:
    path, ids = file
    new = tmp_path / "new.db"
    result = stream("salvage", path, new)
    assert (result.exit_code, result.stdout) == (0, f"{new} has 3 messages, 2 dead letters and 2 groups.\n")
    assert [one["id"] for one in found("show", "--store", new)] == ids
    result = stream("salvage", path, new)
    assert (result.exit_code, "already exists" in result.stderr) == (1, True)
    damaged = tmp_path / "damaged.db"
    content = bytearray(path.read_bytes())
    at = content.index(b"poison 1")
    content[at : at + 6] = b"broken"
    damaged.write_bytes(content)
    result = stream("salvage", damaged, tmp_path / "rest.db")
    assert result.exit_code == 1
    assert "1 in them was damaged" in result.stdout or "could not be read" in result.stdout
    content = bytearray(path.read_bytes())
    with closing(sqlite3.connect(path)) as connection:
        (stream_id,) = connection.execute("SELECT stream_id FROM stream").fetchone()
    content[content.index(stream_id)] ^= 1
    content[100:4096] = bytes(3996)  # nor is it known which page belongs to which table
    damaged.write_bytes(content)
    result = stream("salvage", damaged, tmp_path / "nowhere" / "new.db")
    assert result.stderr.endswith("nowhere/new.db cannot be created: its folder does not exist\n")
    result = stream("salvage", damaged, tmp_path / "other-id.db")
    assert (result.exit_code, "and any later ones" in result.stdout) == (1, True)
    notes, nothing = tmp_path / "notes.md", tmp_path / "nothing.db"
    notes.write_text("no store\n" * 1000)
    result = stream("salvage", notes, nothing)
    assert (result.exit_code, "nothing could be read" in result.stderr, nothing.exists()) == (1, True, False)
    result = stream("salvage", path.with_name("notes.txt"), tmp_path / "x.db")
    assert result.exit_code == 2


# --- as processes


@pytest.mark.slow
def test_the_commands_work_as_processes_and_end_by_ctrl_c(site: Site, realm: str) -> None:
    site.node("till", topic="orders", poison=1)
    with Program(["-m", "colugo.cli.main", "stream", "ls", *WAIT], realm=realm) as command:
        assert command.wait() == 0
        assert command.lines[1].split()[:2] == ["orders", "till"]
    with Program(["-m", "colugo.cli.main", "stream", "ls", "--wait", "60"], realm=realm) as command:
        assert wait_until(lambda: _has_socket(command.pid))
        assert command.interrupt() == 130
    with Program(["-m", "colugo.cli.main", "stream", "show", "order", *WAIT], realm=realm) as command:
        assert command.wait() == 1


@pytest.mark.parametrize("command", [("purge", "--all"), ("forget", "archive")])
def test_ctrl_c_ends_a_question_and_nothing_is_done(
    command: tuple[str, ...], file: tuple[Path, list[str]]
) -> None:
    path, _ = file
    arguments = [sys.executable, "-m", "colugo.cli.main", "stream", *command, "--store", str(path)]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        asked = b""
        while not asked.endswith(b"[y/N]: "):
            sign = process.stderr.read(1)
            assert sign, asked
            asked += sign
        reader = psutil.Process(process.pid)
        # It waits for the answer, and not for a moment: input() throws away what a signal raises while it
        # flushes the question.
        assert wait_until(lambda: all(reader.status() == psutil.STATUS_SLEEPING for _ in range(50)))
        process.send_signal(signal.SIGINT)
        assert process.wait(seconds(10)) == 130
        assert b"Traceback" not in process.stderr.read()
    (listed,) = found("ls", "--store", path)
    assert (listed["dead"], len(listed["groups"])) == (2, 2)


def _has_socket(pid: int) -> bool:
    """Return True once its loop runs."""
    for one in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            if str(one.readlink()).startswith("socket:"):
                return True
    return False


# --- what is shown


def test_bytes_and_times_are_shown_for_people() -> None:
    assert [amount(n) for n in (0, 1023, 1024, 1536, 1024**2 - 1, 5 * 1024**3)] == [
        "0 B",
        "1023 B",
        "1.0 KiB",
        "1.5 KiB",
        "1.0 MiB",
        "5.0 GiB",
    ]
    assert when(0)[:3] in {"197", "196"}
    assert when(2**80).endswith(" ns")


def test_signs_that_control_a_terminal_are_not_printed(tmp_path: Path) -> None:
    async def main() -> str:
        async with Node("evil") as node:
            evil = node.add_stream("orders", store=tmp_path / "evil.db", groups=["g"])
            return await evil.send_wait("a\x1b[2Jb", key="k\x1b[2J", headers={"h": "\x1b[2J"})

    sent = run(main())
    for arguments in (("show",), ("show", sent), ("ls",)):
        result = stream(*arguments, "--store", tmp_path / "evil.db")
        assert result.exit_code == 0
        assert "\x1b" not in result.output
