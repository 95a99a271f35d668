"""Following real files, which are appended to and rotated."""

import asyncio
import logging
import shutil
from pathlib import Path
from typing import Any

import pytest

from colugo.distributor import FileSource
from colugo.distributor.sources import file_source
from colugo.errors import ConfigurationError
from tests.support.essentials import run, until
from tests.support.feeding import opened

POLL_MS = 10


def follow(path: Path, **options: Any) -> FileSource:
    """A source that looks often."""
    if "state" in options:
        options["state"] = str(options["state"])
    return FileSource(str(path), poll_ms=POLL_MS, **options)


def append(path: Path, *lines: str, end: str = "\n") -> None:
    """Append lines to a file."""
    with path.open("a") as file:
        file.write("".join(f"{line}{end}" for line in lines))


def rotated(path: Path) -> Path:
    """Return a name for the newest of the old files, after renaming the others."""
    for number in range(9, 0, -1):
        older = path.with_name(f"{path.name}.{number}")
        if older.exists():
            older.rename(path.with_name(f"{path.name}.{number + 1}"))
    return path.with_name(f"{path.name}.1")


def rename(path: Path) -> Path:
    """Rotate by renaming, and return the old file."""
    return path.rename(rotated(path))


def truncate(path: Path, *lines: str) -> None:
    """Truncate, and write lines."""
    with path.open("r+") as file:
        file.truncate()
        file.write("".join(f"{line}\n" for line in lines))


def copy_and_truncate(path: Path, *lines: str) -> None:
    """Rotate by copying, and write lines."""
    shutil.copy(path, rotated(path))
    truncate(path, *lines)


def remove(path: Path) -> None:
    path.unlink()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "app.log"


def test_lines_that_are_appended_are_messages(log: Path) -> None:
    append(log, "old")

    async def main() -> None:
        async with opened(follow(log)) as messages:
            await asyncio.sleep(0)
            append(log, "one", "two")
            assert await messages.reach(2) == ["one", "two"]
            append(log, "three\r", "", "é")
            assert await messages.reach(5) == ["one", "two", "three", "", "é"]

    run(main())


def test_a_file_may_be_read_from_its_start(log: Path) -> None:
    append(log, "one", "two")

    async def main() -> None:
        async with opened(follow(log, from_start=True)) as messages:
            append(log, "three")
            assert await messages.reach(3) == ["one", "two", "three"]

    run(main())


def test_a_file_that_does_not_exist_yet_is_read_from_its_start(
    log: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    async def main() -> None:
        async with opened(follow(log.parent / "later" / log.name)) as messages:
            await until(lambda: "does not exist yet" in caplog.text)
            (log.parent / "later").mkdir()
            append(log.parent / "later" / log.name, "one")
            assert await messages.reach(1) == ["one"]

    run(main())


def test_a_last_line_is_held_until_its_end_comes(log: Path) -> None:
    append(log, "half", end="")

    async def main() -> None:
        async with opened(follow(log)) as messages:
            await asyncio.sleep(0)
            append(log, " and half", "next", end="")
            append(log, "", "more", "")
            assert await messages.reach(3) == ["half and halfnext", "more", ""]

    run(main())


def test_long_lines_and_invalid_utf8_are_read(log: Path) -> None:
    log.write_bytes(b"x" * 10_000_000 + b"\ncaf\xe9\n")

    async def main() -> None:
        source = follow(log, from_start=True)
        async with opened(source) as messages:
            await messages.reach(2)
            assert (len(messages.items[0]), messages.items[1]) == (10_000_000, "caf\ufffd")
            assert source.malformed == 1

    run(main())


def test_a_renamed_file_is_read_to_its_end_before_the_new_one(log: Path) -> None:
    append(log, "0")

    async def main() -> None:
        async with opened(follow(log, from_start=True)) as messages:
            await messages.reach(1)
            append(log, "1")
            old = rename(log)
            append(old, "2")
            append(log)  # as logrotate does, before the program opens it
            append(old, "3")
            assert await messages.reach(4)
            append(old, "4", end="")  # its end does not come any more
            append(log, "5")
            assert await messages.reach(6) == ["0", "1", "2", "3", "4", "5"]
            append(log, "6")
            await messages.reach(7)

    run(main())


@pytest.mark.parametrize("read", [0, 1])
def test_a_file_that_was_rotated_while_it_was_empty_holds_nothing_up(log: Path, read: int) -> None:
    append(log, *["0"] * read)

    async def main() -> None:
        async with opened(follow(log, from_start=True)) as messages:
            await messages.reach(read)
            for _ in range(3):  # as logrotate does with `ifempty`, its default
                rename(log)
                append(log)
            append(log, "1")
            assert (await messages.reach(read + 1))[-1] == "1"

    run(main())


def test_an_old_file_that_grows_on_and_on_is_left(
    log: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(file_source, "_LINGER_S", 0.1)
    append(log, "0")

    async def main() -> None:
        async with opened(follow(log, from_start=True)) as messages:
            await messages.reach(1)
            old = rename(log)
            append(log, "new")
            n = 0
            while "new" not in messages.items:
                append(old, f"old {n}")
                n += 1
                await asyncio.sleep(POLL_MS / 2000)
            assert "still grows; it is left" in caplog.text
            assert "old 0" in messages.items

    run(main())


def test_a_file_that_is_deleted_and_made_anew_is_read_from_its_start(log: Path) -> None:
    append(log, "1")

    async def main() -> None:
        async with opened(follow(log, from_start=True)) as messages:
            await messages.reach(1)
            remove(log)
            append(log, "2")
            assert await messages.reach(2) == ["1", "2"]

    run(main())


@pytest.mark.parametrize("more", [[], ["14 bytes here"], ["more", "lines", "than before"]])
def test_a_truncated_file_is_read_from_its_start_after_the_rest_of_its_copy(
    log: Path, more: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    append(log, "14 bytes there")

    async def main() -> None:
        async with opened(follow(log, from_start=True)) as messages:
            await messages.reach(1)
            append(log, "not read yet")
            copy_and_truncate(log, *more)
            await messages.reach(2 + len(more))
            append(log, "after")
            assert await messages.reach(3 + len(more)) == ["14 bytes there", "not read yet", *more, "after"]
            assert "between the copy and the truncation" in caplog.text

    run(main())


def test_several_truncations_between_two_looks_lose_nothing(log: Path) -> None:
    async def main() -> None:
        source = follow(log, from_start=True)
        async with opened(source) as messages:
            append(log, "1")
            await messages.reach(1)
            append(log, "2")
            copy_and_truncate(log, "3")
            copy_and_truncate(log, "4")
            copy_and_truncate(log)
            await messages.reach(4)
            append(log, "5")
            copy_and_truncate(log, "6")
            assert await messages.reach(6) == ["1", "2", "3", "4", "5", "6"]

    run(main())


def test_a_truncation_without_a_copy_is_logged(log: Path, caplog: pytest.LogCaptureFixture) -> None:
    append(log, "1", "2")

    async def main() -> None:
        async with opened(follow(log, from_start=True)) as messages:
            await messages.reach(2)
            truncate(log, "3")
            assert await messages.reach(3) == ["1", "2", "3"]
            assert "was truncated and has no copy; its lines after 4 bytes are lost" in caplog.text

    run(main())


async def read(log: Path, state: Path, n: int) -> list[str]:
    """Follow until n lines have come, as one start of the program does."""
    async with opened(follow(log, state=state, from_start=True)) as messages:
        return await messages.reach(n)


def test_after_a_restart_it_continues_at_its_place(log: Path, tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    append(log, "1", "2")

    async def main() -> None:
        assert await read(log, state, 2) == ["1", "2"]
        append(log, "3")
        assert await read(log, state, 1) == ["3"]
        append(log, "4")
        rename(log)
        append(log, "5")
        rename(log)
        append(log, "6")
        assert await read(log, state, 3) == ["4", "5", "6"]
        append(log, "7")
        copy_and_truncate(log, "8")
        copy_and_truncate(log, "9")
        assert await read(log, state, 3) == ["7", "8", "9"]

    run(main())


def test_a_truncation_before_a_restart_is_logged_while_a_copy_is_read(
    log: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    state = tmp_path / "state.json"
    append(log, "1")

    async def main() -> None:
        async with opened(follow(log, state=state, from_start=True)) as messages:
            await messages.reach(1)
            copy_and_truncate(log)
            await until(lambda: caplog.text.count("between the copy and the truncation") == 1)
        append(log, "2")
        copy_and_truncate(log, "3")
        assert await read(log, state, 2) == ["2", "3"]
        assert caplog.text.count("between the copy and the truncation") == 2

    run(main())


def test_after_a_restart_a_file_that_was_empty_is_found(log: Path, tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    append(log, "old")
    copy_and_truncate(log)

    async def main() -> None:
        async with opened(follow(log, state=state)):
            await until(state.exists)
        for rotate in (copy_and_truncate, rename):
            append(log, "1")
            rotate(log)
            append(log, "2")
            assert await read(log, state, 2) == ["1", "2"]

    run(main())


def test_after_a_restart_a_missing_file_is_logged(
    log: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    state = tmp_path / "state.json"
    append(log, "1")

    async def main() -> None:
        await read(log, state, 1)
        remove(log)
        append(log, "another 2")
        assert await read(log, state, 1) == ["another 2"]
        assert "gone or truncated; its lines after 2 bytes are lost" in caplog.text

    run(main())


def test_a_line_whose_receiver_waits_for_room_counts_as_taken(log: Path, tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    append(log, "1", "2")

    async def main() -> None:
        source = follow(log, state=state, from_start=True)
        taken: list[str] = []

        def take(message: str) -> asyncio.Future[None]:
            taken.append(message)
            return asyncio.get_running_loop().create_future()

        async with opened(source):
            source.set_on_message(take)
            await until(lambda: taken)
        assert await read(log, state, 1) == ["2"]

    run(main())


def test_the_place_is_saved_while_it_runs(log: Path, tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    append(log, "1")

    async def main() -> None:
        async with opened(follow(log, state=state, from_start=True)):
            await until(lambda: state.exists() and b'"offset":2,' in state.read_bytes())

    run(main())


def test_a_damaged_state_is_logged_and_the_file_read_from_its_start(
    log: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    state = tmp_path / "state.json"
    state.write_text("{")
    append(log, "1")

    async def main() -> None:
        async with opened(follow(log, state=state)) as messages:
            assert await messages.reach(1) == ["1"]
        assert "is damaged" in caplog.text

    run(main())


def test_the_state_of_another_file_is_refused(log: Path, tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    append(log, "1")

    async def main() -> None:
        await read(log, state, 1)
        with pytest.raises(ConfigurationError, match=r"is that of .*app\.log, not of .*other\.log"):
            follow(tmp_path / "other.log", state=state).open()

    run(main())


def test_a_state_that_cannot_be_written_is_logged(
    log: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    append(log, "1")

    async def main() -> None:
        async with opened(follow(log, state=tmp_path / "missing" / "state", from_start=True)) as messages:
            assert await messages.reach(1) == ["1"]
            await until(lambda: "the place is not saved" in caplog.text)

    run(main())
