"""Processes that are killed while they write, the system calls of a commit, and a million messages."""

import random
import re
import sqlite3
from collections.abc import Iterable
from pathlib import Path

import pytest

from colugo.store import Transaction
from tests.programs.store_writer import SIZES, marked
from tests.support.essentials import Program, new_realm, seconds
from tests.support.processes import MIB, answer
from tests.support.storing import content, expect, message, require_tool, sqlite_store

TRACED = "pwrite64,write,fsync,fdatasync"


# --- killed


def killed(path: Path, after: int) -> tuple[int, int]:
    """Let a process write until it has confirmed this many transactions, and kill it.

    Returns:
        The last number that it confirmed, and up to which it confirmed deletions.
    """
    with Program(
        ["-m", "tests.programs.store_writer", str(path), "10000000", "random"], realm=new_realm()
    ) as writer:
        writer.expect("open")
        for _ in range(after):
            writer.expect("done")
        writer.kill()
        writer.wait()
        done = [line for line in writer.lines if line.startswith("done")]
    _, last, deleted = done[-1].split()
    return int(last), int(deleted)


def check_after_kill(path: Path, rounds: int, chance: random.Random) -> None:
    for _ in range(rounds):
        last, deleted = killed(path, chance.randrange(1, 60))
        found, corrupt = content(path)
        assert corrupt == []
        seqs = [one.seq for one in found]
        # the transaction in progress may have been committed
        assert seqs == list(range(seqs[0], seqs[-1] + 1))
        assert seqs[-1] - last in {0, *SIZES}
        assert seqs[0] - 1 - deleted in {0, 500}
        assert all(one.payload == marked(one.seq) for one in found)
        connection = sqlite3.connect(path)
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        connection.close()


@pytest.mark.slow
def test_what_was_confirmed_before_a_sigkill_is_there(tmp_path: Path) -> None:
    check_after_kill(tmp_path / "s.db", 4, random.Random(1))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_what_was_confirmed_before_each_of_many_sigkills_is_there(tmp_path: Path) -> None:
    check_after_kill(tmp_path / "s.db", 60, random.Random(2))


def test_a_process_that_ends_without_closing_has_lost_nothing(tmp_path: Path) -> None:
    code = f"""
import asyncio, logging
from colugo.store.sqlite.sqlite_store import SqliteStore
from colugo.store import Transaction
from tests.support.storing import message

async def main():
    store = SqliteStore({str(tmp_path / "s.db")!r}, logger=logging.getLogger())
    store.open()
    done = asyncio.get_running_loop().create_future()
    store.commit(Transaction(inserts=[message(1), message(2)]), done.set_result)
    print(await done)
    return store

store = asyncio.run(main())
"""
    with Program(["-c", code], realm=new_realm()) as program:
        program.expect("Outcome(count=2")
        assert program.wait() == 0
    assert content(tmp_path / "s.db") == ([message(1), message(2)], [])


# --- what the system sees


def unsynced(trace: Iterable[str], path: Path) -> tuple[list[int], int]:
    """Find confirmations without a completed sync of the data before, and count all confirmations.

    A message counts as written when a write that holds it has returned, and as synced when a sync of the log
    that began after that has.
    """
    begun: dict[str, tuple[str, set[int]]] = {}
    written: set[int] = set()
    synced: set[int] = set()
    early = []
    confirmed = 0
    for line in trace:
        pid, _, call = line.partition(" ")
        before = set(written)
        if call.endswith("<unfinished ...>"):
            begun[pid] = call.removesuffix("<unfinished ...>").strip(), before
            continue
        if (resumed := re.match(r" *<\.\.\. \w+ resumed>(.*)", call)) is not None:
            call, before = begun.pop(pid)
            call += resumed[1]
        if call.strip().startswith("pwrite64(") and f"<{path}" in call:
            written |= {int(number) for number in re.findall(r"<(\d{7})>", call)}
        elif re.match(rf" *(fsync|fdatasync)\(\d+<{re.escape(str(path))}-wal>\) += 0", call):
            synced |= before
        elif (told := re.match(r' *write\(1<.*?>, "done (\d+) ', call)) is not None:
            confirmed += 1
            if int(told[1]) not in synced:
                early.append(int(told[1]))
    return early, confirmed


def test_the_reader_of_traces_finds_what_is_not_synced() -> None:
    trace = [
        '7 pwrite64(5</s.db-wal>, "..<0000001>..", 4096, 56) = 4096',
        "8 fdatasync(5</s.db-wal> <unfinished ...>",
        '7 pwrite64(5</s.db-wal>, "<0000002>", 4096, 56) = 4096',
        "8 <... fdatasync resumed>) = 0",
        '7 write(1<pipe:[9]>, "done 1 0\\n", 9) = 9',
        '7 write(1<pipe:[9]>, "done 2 0\\n", 9) = 9',
        '7 pwrite64(5</s.db-wal>, "<0000003>", 4096, 56) = 4096',
        "8 fdatasync(5</s.db-wal>) = -1 EIO (Input/output error)",
        '7 write(1<pipe:[9]>, "done 3 0\\n", 9) = 9',
        "8 fdatasync(5</s.db-wal>) = 0",
        '7 write(1<pipe:[9]>, "done 3 0\\n", 9) = 9',
    ]
    assert unsynced(trace, Path("/s.db")) == ([2, 3], 4)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_each_of_1000_messages_is_synced_before_it_is_confirmed(tmp_path: Path) -> None:
    require_tool("strace")
    path = tmp_path / "s.db"
    trace = tmp_path / "trace"
    prefix = ["strace", "-f", "-y", "-s", "4096", "-e", f"trace={TRACED}", "-o", str(trace)]
    arguments = ["-m", "tests.programs.store_writer", str(path), "1000"]
    with Program(arguments, realm=new_realm(), prefix=prefix) as writer:
        writer.expect("closed", within=120)
        writer.wait()
    lines = trace.read_text(encoding="latin-1").splitlines()
    assert unsynced(lines, path) == ([], 1000)
    without = [line for line in lines if "sync(" not in line and "sync resumed" not in line]
    assert len(unsynced(without, path)[0]) == 1000


# --- many


@pytest.mark.slow
@pytest.mark.measures
@pytest.mark.timeout(300)
def test_a_million_messages_are_opened_within_2_s_and_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    store = sqlite_store(path, durability="os")
    store.open()
    for first in range(1, 1_000_001, 10_000):
        inserts = [message(seq, b"%200d" % seq) for seq in range(first, first + 10_000)]
        store.commit(Transaction(inserts=inserts), expect)
    store.close()
    code = f"""
import json, logging, re, time
from pathlib import Path
from colugo.store.sqlite.sqlite_store import SqliteStore

def used():
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024

store = SqliteStore({str(path)!r}, logger=logging.getLogger())
before = used()
begin = time.perf_counter()
opened = store.open()
took = time.perf_counter() - begin
numbers = []
store.read(999_000, 10_000, 10**9, lambda found: numbers.extend(one.seq for one in found))
assert numbers == list(range(999_001, 1_000_001))
store.close()
print("result", json.dumps(dict(took=took, more=used() - before, count=opened.count, size=opened.size)))
"""
    with Program(["-c", code], realm=new_realm()) as program:
        result = answer(program, "result", within=60)
        print(result)
        assert program.wait() == 0
    assert result["count"] == 1_000_000
    assert result["size"] == 200_000_000
    assert result["took"] < seconds(2)
    assert result["more"] < 20 * MIB
