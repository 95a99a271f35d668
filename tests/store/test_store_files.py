"""Files that are unusable, damaged or in use give a clear error, and readable data is kept."""

import logging
import os
import random
import shutil
import sqlite3
import struct
import subprocess
import tempfile
from pathlib import Path

import pytest

from colugo.errors import StoreError
from colugo.protocol.streams.stream_message import StreamMessage
from colugo.store import GroupRecord, Transaction
from colugo.store.recovery.salvage import Salvaged, salvage
from colugo.store.sqlite.wal import WalState, log_state
from tests.support.essentials import Program, new_realm, run
from tests.support.storing import (
    commit,
    content,
    copy_store,
    dead_letters,
    expect,
    fill,
    letter,
    message,
    read,
    small_disk,
    sqlite_store,
    without_rights,
)

# --- in use


def test_a_store_that_is_open_cannot_be_opened_in_this_process(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    first = sqlite_store(path)
    first.open()
    (tmp_path / "link.db").symlink_to(path)
    for name in ("s.db", "link.db", "../" + tmp_path.name + "/s.db"):
        with pytest.raises(StoreError, match="open in another node or program"):
            sqlite_store(tmp_path / name).open()
    with pytest.raises(StoreError, match="open in another"):
        salvage(path, tmp_path / "new.db")
    expect_locked_elsewhere(path)
    first.close()
    again = sqlite_store(path)
    again.open()
    again.close()


def expect_locked_elsewhere(path: Path) -> None:
    """A second process cannot open it, either: the check in this process has not released the lock."""
    with Program(["-m", "tests.programs.store_writer", str(path), "1"], realm=new_realm()) as other:
        other.expect("StoreError")
        assert "open in another node or program" in "".join(other.lines)


def test_a_store_that_is_open_in_another_process_cannot_be_opened(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    with Program(["-m", "tests.programs.store_writer", str(path), "1000000"], realm=new_realm()) as other:
        other.expect("done")
        with pytest.raises(StoreError, match="open in another node or program"):
            sqlite_store(path).open()
        with pytest.raises(StoreError, match="open in another"):
            salvage(path, tmp_path / "new.db")
        other.kill()
        content(path)


# --- what is no store


@pytest.mark.parametrize(
    ("what", "says"),
    [
        (b"", "empty file"),
        (b"hello", "no SQLite file"),
        (b"#!/bin/sh\n" * 1000, "no SQLite file"),
        (b"SQLite format 3\0", "no SQLite file"),
    ],
)
def test_a_file_of_another_kind_is_refused_and_left_as_it_is(tmp_path: Path, what: bytes, says: str) -> None:
    path = tmp_path / "s.db"
    path.write_bytes(what)
    with pytest.raises(StoreError, match=says):
        sqlite_store(path).open()
    assert path.read_bytes() == what
    assert list(tmp_path.iterdir()) == [path]


def test_a_database_of_another_program_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE messages (seq)")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match="another program"):
        sqlite_store(path).open()
    assert path.read_bytes() == before


def test_a_newer_layout_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    fill(path, 1)
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 3")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match="layout 3, but this version of colugo supports layout 2"):
        sqlite_store(path).open()
    assert path.read_bytes() == before


def test_a_missing_folder_or_a_folder_instead_of_a_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="folder does not exist"):
        sqlite_store(tmp_path / "no" / "s.db").open()
    with pytest.raises(StoreError, match="directory"):
        sqlite_store(tmp_path).open()


def test_a_log_without_its_file_is_not_thrown_away(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    store = sqlite_store(path)
    store.open()
    store.commit(Transaction(inserts=[message(1)]), expect)
    copy_store(path, tmp_path / "other.db")
    store.close()
    (tmp_path / "other.db").unlink()
    with pytest.raises(StoreError, match=r"other\.db-wal, which holds part of it"):
        sqlite_store(tmp_path / "other.db").open()
    assert (tmp_path / "other.db-wal").stat().st_size > 4096


# --- what cannot be written


def test_a_read_only_disk_is_said(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "32m") as disk:
        fill(disk / "s.db", 10)
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        with pytest.raises(StoreError, match="must be writable"):
            sqlite_store(disk / "s.db").open()
        with pytest.raises(StoreError, match="must be writable"):
            sqlite_store(disk / "new.db").open()
        assert salvage(disk / "s.db", tmp_path / "copy.db").messages == 10


@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_file_or_folder_without_the_right_to_write_is_said(tmp_path: Path, what: str) -> None:
    # Others may not even look into tmp_path.
    folder = Path(tempfile.gettempdir()) / f"colugo-test-{os.getpid()}-{what}"
    with small_disk(folder, "32m") as disk:
        path = disk / "s.db"
        fill(path, 10)
        shutil.chown(path if what == "folder" else disk, 65534)
        disk.chmod(0o755)
        before = path.read_bytes()
        with without_rights(), pytest.raises(StoreError, match="must be writable"):
            sqlite_store(path).open()
        assert path.read_bytes() == before
        assert len(content(path)[0]) == 10


# --- damage


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[StreamMessage]]:
    """A store with all kinds of rows, pages on several levels, free pages, and large payloads."""
    path = tmp_path_factory.mktemp("filled") / "s.db"
    messages = fill(path, 1500)
    store = sqlite_store(path)
    store.open()
    large = [message(1501 + number, random.Random(number).randbytes(10_000 * number)) for number in range(5)]
    store.commit(
        Transaction(
            inserts=large,
            deletes=[(1, 100), (700, 720)],
            groups={"g": GroupRecord("g", offered=100, done=b"\1")},
            attempts=[("g", 800, 2)],
            dead=[letter(1)],
        ),
        expect,
    )
    store.close()
    kept = [one for one in messages if one.seq > 100 and not 700 <= one.seq <= 720]
    return path, kept + large


def judge(path: Path, into: Path, messages: list[StreamMessage]) -> Salvaged | None:
    """Check that a damaged store returns nothing wrong, loses nothing silently, and can be salvaged.

    Returns:
        What was salvaged; None if the store could be opened.
    """
    before = path.read_bytes()
    good = {one.seq: one for one in messages}
    try:
        found, corrupt = content(path)
    except StoreError as error:
        said = str(error)
        assert str(path) in said
        if "no room" not in said:
            assert path.read_bytes() == before
    else:
        assert all(good[one.seq] == one for one in found)
        assert len(found) + len(corrupt) == len(messages)
        assert len(corrupt) <= 1
        return None
    assert "salvage" in said or "is not a store" in said or "layout" in said
    report = salvage(path, into)
    assert path.read_bytes() == before
    found, corrupt = content(into)
    assert corrupt == []
    assert len(found) == report.messages
    assert all(good[one.seq] == one for one in found)
    assert told_of(set(good) - {one.seq for one in found}, report)
    return report


def told_of(missing: set[int], report: Salvaged) -> bool:
    """Return True if the report contains all missing sequence numbers."""
    return all(any(first <= seq <= last for first, last in report.lost) for seq in missing)


def test_a_store_that_was_cut_off_is_salvaged_as_far_as_it_goes(
    filled: tuple[Path, list[StreamMessage]], tmp_path: Path
) -> None:
    path, messages = filled
    whole = path.read_bytes()
    chance = random.Random(1)
    for number in range(25):
        cut = tmp_path / f"{number}.db"
        length = chance.randrange(1, len(whole))
        cut.write_bytes(whole[:length])
        report = judge(cut, tmp_path / f"new{number}.db", messages)
        assert report is not None
        # 17 of these messages are in a page; what is in pages that are left is copied.
        pages = length // 4096
        assert report.messages >= 13 * (pages - 40)


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=[pytest.mark.slow, pytest.mark.timeout(600)])])
def test_flipped_bytes_never_give_a_wrong_message_and_the_others_are_salvaged(
    filled: tuple[Path, list[StreamMessage]], tmp_path: Path, seed: int
) -> None:
    path, messages = filled
    whole = path.read_bytes()
    chance = random.Random(seed)
    opened = 0
    rounds = 60 if seed == 1 else 1000
    for number in range(rounds):
        # Every other time in the first pages, where a few bytes mean much.
        at = chance.randrange(len(whole) if number % 2 else 4 * 4096)
        flipped = bytearray(whole)
        flipped[at] ^= chance.randrange(1, 256)
        damaged = tmp_path / "damaged.db"
        damaged.write_bytes(flipped)
        report = judge(damaged, tmp_path / "new.db", messages)
        opened += report is None
        if report is not None:
            assert report.messages >= len(messages) - 40, f"byte {at}"
        for left in tmp_path.iterdir():
            left.unlink()
    assert 0 < opened < rounds


def test_a_damaged_page_is_told_by_the_numbers_in_it(
    filled: tuple[Path, list[StreamMessage]], tmp_path: Path
) -> None:
    path, messages = filled
    whole = bytearray(path.read_bytes())
    at = whole.index(messages[500].payload) // 4096 * 4096
    inside = {one.seq for one in messages if one.payload in whole[at : at + 4096]}
    whole[at : at + 4096] = bytes(4096)
    (tmp_path / "s.db").write_bytes(whole)
    report = judge(tmp_path / "s.db", tmp_path / "new.db", messages)
    assert report is not None
    assert report.lost == [(min(inside), max(inside))]
    assert report.messages == len(messages) - len(inside)
    assert (report.damaged_pages, report.damaged_rows) == (1, 0)
    assert (report.dead, report.groups, report.attempts) == (1, 1, 1)
    assert [report.new_stream, report.log_damaged, report.uncertain] == [False] * 3


def test_a_salvaged_store_is_the_same_stream_with_all_it_knew(
    filled: tuple[Path, list[StreamMessage]], tmp_path: Path
) -> None:
    path, messages = filled
    stores = [sqlite_store(path), sqlite_store(tmp_path / "new.db")]
    salvage(path, tmp_path / "new.db")
    opened = [store.open() for store in stores]
    assert opened[0] == opened[1]
    assert opened[0].count == len(messages)

    async def main() -> None:
        for store in stores:
            assert await dead_letters(store) == [letter(1)]
            await store.aclose()

    run(main())


def test_a_store_whose_identity_is_lost_becomes_a_new_stream_with_higher_numbers(
    filled: tuple[Path, list[StreamMessage]], tmp_path: Path
) -> None:
    path, _ = filled
    store = sqlite_store(path)
    before = store.open()
    store.close()
    whole = bytearray(path.read_bytes())
    at = whole.index(before.stream_id)
    whole[at] ^= 1
    (tmp_path / "s.db").write_bytes(whole)
    with pytest.raises(StoreError, match="salvage"):
        sqlite_store(tmp_path / "s.db").open()
    assert salvage(tmp_path / "s.db", tmp_path / "new.db").new_stream
    store = sqlite_store(tmp_path / "new.db")
    after = store.open()
    store.close()
    assert after.stream_id != before.stream_id
    assert after.last_seq > before.last_seq
    assert after.count == before.count


def test_salvage_does_not_write_over_a_file(filled: tuple[Path, list[StreamMessage]], tmp_path: Path) -> None:
    (tmp_path / "new.db").write_text("precious")
    with pytest.raises(StoreError, match="already exists"):
        salvage(filled[0], tmp_path / "new.db")
    with pytest.raises(StoreError, match="cannot be copied"):
        salvage(tmp_path / "none.db", tmp_path / "other.db")
    assert [found.name for found in tmp_path.iterdir()] == ["new.db"]


def test_a_damaged_row_is_put_aside_and_told_when_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    messages = fill(path, 10)
    store = sqlite_store(path)
    store.open()
    store.commit(Transaction(dead=[letter(3)]), expect)
    store.close()
    whole = path.read_bytes()
    for good in (messages[4].payload, messages[6].payload):
        whole = whole.replace(good, b"X" + good[1:])
    whole = whole.replace("ValueError: é".encode(), "ValueError: è".encode())
    path.write_bytes(whole)

    async def main() -> None:
        store = sqlite_store(path)
        corrupt: list[int] = []
        store.on_corrupt = corrupt.extend
        store.open()
        good = [one for one in messages if one.seq not in {5, 7}]
        assert await read(store, limit=5) == good[:5]
        assert corrupt == [5]
        assert await read(store) == good
        assert corrupt == [5, 7]
        assert await dead_letters(store) == []
        outcome = await commit(store)
        assert (outcome.count, outcome.dead) == (8, 0)
        assert await read(store) == good
        assert corrupt == [5, 7]
        await store.aclose()
        store = sqlite_store(path)
        opened = store.open()
        assert (opened.count, opened.dead, opened.corrupt) == (8, 0, 3)
        assert opened.size == outcome.size
        await store.aclose()

    run(main())
    with sqlite3.connect(path) as connection:
        rows = connection.execute("SELECT seq, payload FROM corrupt ORDER BY seq").fetchall()
    connection.close()
    assert rows[1] == (5, b"X" + messages[4].payload[1:])


# --- the log


def refusal(path: Path) -> str:
    """Return the error of opening a store; empty if it opens."""
    try:
        content(path)
    except StoreError as error:
        return str(error)
    return ""


def in_log(path: Path, transactions: int) -> tuple[list[StreamMessage], int]:
    """Make a store with an unchanged file and some transactions in its log.

    Returns:
        Its messages, and how many bytes of the log they take.
    """
    store = sqlite_store(path.with_name("original.db"))
    store.open()
    messages = [message(seq) for seq in range(1, 10 * transactions + 1)]
    for at in range(0, len(messages), 10):
        store.commit(Transaction(inserts=messages[at : at + 10]), expect)
    copy_store(path.with_name("original.db"), path)
    store.close()
    return messages, path.with_name(f"{path.name}-wal").stat().st_size


def test_a_log_that_was_left_behind_is_taken(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    messages, _ = in_log(tmp_path / "s.db", 20)
    with caplog.at_level(logging.WARNING):
        assert content(tmp_path / "s.db") == (messages, [])
    assert caplog.records == []


def test_a_flipped_byte_in_the_log_is_never_a_silent_loss(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    messages, size = in_log(tmp_path / "whole.db", 20)
    chance = random.Random(3)
    torn = refused = 0
    for number in range(60):
        path = tmp_path / f"{number}.db"
        copy_store(tmp_path / "whole.db", path)
        log = path.with_name(f"{path.name}-wal")
        content_of_log = bytearray(log.read_bytes())
        content_of_log[chance.randrange(size if number else 32)] ^= chance.randrange(1, 256)
        log.write_bytes(content_of_log)
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            said = refusal(path)
        if not said:
            found, _ = content(path)
            assert found == messages[: len(found)]
            assert len(found) >= len(messages) - 10
            assert found == messages or "is incomplete and lost" in caplog.text
            torn += found != messages
            continue
        refused += 1
        assert f"{path.name}-wal" in said
        assert "salvage" in said
        assert log.read_bytes() == content_of_log
        report = salvage(path, tmp_path / f"new{number}.db")
        found, _ = content(tmp_path / f"new{number}.db")
        assert set(found) <= set(messages)
        # A page whose newest version is damaged is taken as it was before.
        assert len(found) >= len(messages) - 40
        assert report.log_damaged
        assert told_of({one.seq for one in messages} - {one.seq for one in found}, report)
    assert refused > 30
    assert torn <= 10


def test_a_log_that_ends_early_is_taken_up_to_its_last_whole_transaction(tmp_path: Path) -> None:
    messages, size = in_log(tmp_path / "whole.db", 5)
    for cut in [*range(32, size, 1511), size]:
        path = tmp_path / f"{cut}.db"
        copy_store(tmp_path / "whole.db", path)
        os.truncate(path.with_name(f"{path.name}-wal"), cut)
        found, corrupt = content(path)
        assert found == messages[: len(found)]
        assert len(found) % 10 == 0
        assert corrupt == []


def test_an_old_part_of_the_log_is_no_damage(tmp_path: Path) -> None:
    store = sqlite_store(tmp_path / "s.db")
    store.open()
    seq = 0
    for _ in range(40):
        inserts = [message(seq + number) for number in range(1, 501)]
        store.commit(Transaction(inserts=inserts, deletes=[(1, seq)]), expect)
        seq += 500
        copy_store(tmp_path / "s.db", tmp_path / "copy.db")
        assert log_state(tmp_path / "copy.db") is WalState.WHOLE
    store.close()


def test_a_hole_in_the_last_transaction_is_taken_for_a_power_failure(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    messages, _ = in_log(tmp_path / "s.db", 5)
    store = sqlite_store(tmp_path / "s.db")
    store.open()
    more = [message(seq) for seq in range(51, 251)]
    store.commit(Transaction(inserts=more), expect)
    copy_store(tmp_path / "s.db", tmp_path / "copy.db")
    store.close()
    log = tmp_path / "copy.db-wal"
    frames = bytearray(log.read_bytes())
    salts = frames[16:24]
    own = [at for at in range(32, len(frames), 24 + 4096) if frames[at + 8 : at + 16] == salts]
    hole = own[-3]
    assert struct.unpack_from(">I", frames, hole + 4) == (0,)
    frames[hole : hole + 4120] = bytes(4120)
    log.write_bytes(frames)
    with caplog.at_level(logging.WARNING):
        found, _ = content(tmp_path / "copy.db")
    assert found == messages
    assert "is incomplete and lost" in caplog.text
