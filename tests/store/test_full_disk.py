"""A full disk gives a clear error and loses nothing; acknowledgements free space again."""

import os
from pathlib import Path
from typing import Any

import pytest

from colugo.errors import StoreError
from colugo.store import GroupRecord, Store
from colugo.store.sqlite.reserve import RESERVE_BYTES
from tests.support.essentials import Program, new_realm, run
from tests.support.storing import commit, content, copy_store, message, read, small_disk, sqlite_store

SIZE = 10_000
BATCH = 20


async def insert(store: Store, first: int) -> None:
    """Commit one batch of messages."""
    await commit(store, inserts=[message(seq, os.urandom(SIZE)) for seq in range(first, first + BATCH)])


async def fill_up(store: Store, first: int = 1) -> int:
    """Insert until the disk is full; return the last confirmed sequence number."""
    said = ""
    while not said:
        try:
            await insert(store, first)
        except StoreError as error:
            said = str(error)
        else:
            first += BATCH
    assert "has no room" in said
    assert "bytes are free" in said
    return first - 1


def take_all(disk: Path) -> int:
    """Fill the disk with another file; return its size."""
    taken = 0
    with (disk / "other").open("ab", buffering=0) as file:
        while True:
            try:
                taken += file.write(bytes(65536))
            except OSError:
                return taken


async def acknowledge(store: Store, last: int, left: int) -> None:
    """Delete all but some of the newest messages, a few at a time, as a stream does."""
    for seq in range(1, last - left + 1, 7):
        group = GroupRecord("g", offered=seq, done=os.urandom(100))
        await commit(store, deletes=[(seq, min(seq + 6, last - left))], groups={"g": group})


def with_disk(tmp_path: Path, test: Any, size: str = "40m", **options: Any) -> None:
    async def main(disk: Path) -> None:
        store = sqlite_store(disk / "s.db", **options)
        store.open()
        await test(store, disk)
        await store.aclose()

    with small_disk(tmp_path / "disk", size) as disk:
        run(main(disk), within=50)


def test_a_full_disk_is_said_and_what_was_confirmed_is_there(tmp_path: Path) -> None:
    async def test(store: Store, disk: Path) -> None:
        last = await fill_up(store)
        assert last * SIZE > 15_000_000
        assert [one.seq for one in await read(store)] == list(range(1, last + 1))
        copy_store(disk / "s.db", tmp_path / "copy.db")
        confirmed.append(last)

    confirmed: list[int] = []
    with_disk(tmp_path, test)
    found, corrupt = content(tmp_path / "copy.db")
    assert (len(found), corrupt) == (confirmed[0], [])


@pytest.mark.parametrize("taken", [False, True])
def test_acknowledged_messages_make_room_on_a_full_disk(tmp_path: Path, *, taken: bool) -> None:
    async def test(store: Store, disk: Path) -> None:
        last = await fill_up(store)
        if taken:
            take_all(disk)
        await acknowledge(store, last, left=BATCH)
        if taken:
            take_all(disk)
        again = await fill_up(store, last + BATCH + 1)
        assert again - last > last // 2
        await commit(store, deletes=[(1, again)])
        assert (await commit(store)).count == 0
        await insert(store, again + BATCH + 1)

    with_disk(tmp_path, test)


def test_a_disk_that_others_fill_while_there_is_little_in_the_store_can_be_drained(tmp_path: Path) -> None:
    async def test(store: Store, disk: Path) -> None:
        for first in range(1, 301, BATCH):
            await insert(store, first)
        take_all(disk)
        last = await fill_up(store, 301)
        take_all(disk)
        await acknowledge(store, last, left=0)
        assert (await commit(store)).count == 0
        (disk / "other").unlink()
        await insert(store, last + BATCH + 1)

    with_disk(tmp_path, test)


def test_the_store_works_again_when_the_disk_has_room_and_holds_its_reserve_again(tmp_path: Path) -> None:
    async def test(store: Store, disk: Path) -> None:
        await insert(store, 1)
        reserve = disk / "s.db-reserve"
        assert reserve.stat().st_blocks * 512 >= RESERVE_BYTES
        take_all(disk)
        last = await fill_up(store, BATCH + 1)
        for number in range(300):
            await commit(store, attempts=[(f"group {number} {'x' * 1000}", 1, 2)])
        assert not reserve.exists()
        (disk / "other").unlink()
        store._commits._retake_at = 0.0  # type: ignore[attr-defined]
        await insert(store, last + BATCH + 1)
        assert reserve.stat().st_blocks * 512 >= RESERVE_BYTES

    with_disk(tmp_path, test)


def test_a_store_left_behind_on_a_full_disk_can_be_drained(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "40m") as disk:
        path = str(disk / "s.db")
        with Program(
            ["-m", "tests.programs.store_writer", path, "1000000", "growing"], realm=new_realm()
        ) as writer:
            for _ in range(20):
                writer.expect("done")
            take_all(disk)
            writer.expect("StoreError", within=30)
            last = int(next(line for line in reversed(writer.lines) if line.startswith("done")).split()[1])
            writer.kill()
        take_all(disk)

        async def main() -> None:
            store = sqlite_store(Path(path))
            opened = store.open()
            assert opened.last_seq == last
            await acknowledge(store, last, left=0)
            assert (await commit(store)).count == 0
            await store.aclose()

        run(main())


def test_a_message_that_is_larger_than_what_is_free_is_refused(tmp_path: Path) -> None:
    async def test(store: Store, disk: Path) -> None:
        with pytest.raises(StoreError, match="has no room"):
            await commit(store, inserts=[message(1, bytes(15 * 1024 * 1024))])
        await insert(store, 2)
        assert len(await read(store)) == BATCH

    with_disk(tmp_path, test)


def test_a_disk_that_is_full_from_the_start_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with small_disk(tmp_path / "disk", "4m") as disk:
        store = sqlite_store(disk / "s.db")
        store.open()
        assert "has no room" in caplog.text
        store.close()
        take_all(disk)
        (disk / "s.db").unlink()
        take_all(disk)
        with pytest.raises(StoreError, match="no room"):
            sqlite_store(disk / "s.db").open()
        assert [found.name for found in disk.iterdir()] == ["other"]
