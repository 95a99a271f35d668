"""The file target: one line for each message, rotation, deleted files, full disks."""

import errno
from pathlib import Path

import pytest

from colugo.distributor import FileTarget, JsonLinesFormatter
from colugo.distributor.threaded_target import pool_of
from colugo.errors import ConfigurationError
from tests.support.essentials import Program, wait_until
from tests.support.leftovers import nothing_left


def test_each_message_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "out"
    file.write_text("before\n")
    with nothing_left():
        target = FileTarget(file)
        target.open()
        for message in ("a", "two\nli\rnes", b"\xffbytes", 7):
            target.on_message(message)
        target.formatter = JsonLinesFormatter()
        target.on_message({"a": "b\nc"})
        target.close()
    lines = [b"before", b"a", b"two\\nli\\rnes", b"\xffbytes", b"7", b'{"a":"b\\nc"}', b""]
    assert file.read_bytes().split(b"\n") == lines


def test_a_line_is_in_the_file_at_once(tmp_path: Path) -> None:
    target = FileTarget(str(tmp_path / "out"))
    target.on_message("a")
    assert wait_until(lambda: pool_of(target).stats.completed == 1)
    assert (tmp_path / "out").read_text() == "a\n"
    target.close()


def test_files_are_rotated_and_the_oldest_removed(tmp_path: Path) -> None:
    target = FileTarget(tmp_path / "out", max_bytes=100, keep=3)
    for number in range(100):
        target.on_message(f"line {number:04}")
    target.on_message("x" * 200)  # longer than a file: it gets one of its own
    target.on_message("last")
    target.close()
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == ["out", "out.1", "out.2", "out.3"]
    assert files[0].read_text() == "last\n"
    assert files[1].read_text() == "x" * 200 + "\n"
    assert files[2].read_text().splitlines() == [f"line {number:04}" for number in range(90, 100)]
    assert files[3].read_text().splitlines() == [f"line {number:04}" for number in range(80, 90)]


def test_a_deleted_file_is_made_anew(tmp_path: Path) -> None:
    file = tmp_path / "out"
    target = FileTarget(file)
    target.on_message("a")
    assert wait_until(lambda: pool_of(target).stats.completed == 1)
    file.unlink()
    target.on_message("b")
    target.close()
    assert file.read_text() == "b\n"


def test_a_message_waits_until_its_folder_is_there(tmp_path: Path) -> None:
    folder = tmp_path / "later"
    target = FileTarget(folder / "out")
    with pytest.raises(FileNotFoundError):
        target.open()
    target.on_message("a")
    assert wait_until(lambda: pool_of(target).stats.retried)
    folder.mkdir()
    assert wait_until(lambda: pool_of(target).stats.completed == 1)
    target.close()
    assert (folder / "out").read_text() == "a\n"


FULL = """
import resource, sys
from colugo.distributor import FileTarget
from colugo.distributor.threaded_target import pool_of
from tests.support.essentials import wait_until

def limit(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

target = FileTarget(sys.argv[1])
limit(1000)
target.on_message("x" * 600)
target.on_message("y" * 600)
assert wait_until(lambda: pool_of(target).stats.retried >= 2)
print(open(sys.argv[1]).read() == "x" * 600 + "\\n", flush=True)
limit(resource.RLIM_INFINITY)
target.close()
print(open(sys.argv[1]).read() == "x" * 600 + "\\n" + "y" * 600 + "\\n", flush=True)
"""


def test_without_space_messages_wait_and_no_part_of_a_line_is_left(tmp_path: Path, realm: str) -> None:
    with Program(["-c", FULL, str(tmp_path / "out")], realm=realm) as program:
        assert program.wait(20) == 0
    assert program.lines[-2:] == ["True", "True"]
    assert any("File too large" in line for line in program.lines), errno.EFBIG


def test_impossible_numbers_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="max_bytes must be an integer ≥ 0, not -1"):
        FileTarget("out", max_bytes=-1)
    with pytest.raises(ConfigurationError, match="keep must be an integer ≥ 1 with max_bytes, not 0"):
        FileTarget("out", max_bytes=1, keep=0)
