"""A log of 100,000 lines that is rotated ten times while it is tailed, and the tail restarted five times."""

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from colugo.distributor import Distributor, FileSource, TargetOptions, ThreadedDistributionTarget
from tests.support.essentials import Program, new_realm, run, until

LINES = 100_000
ROTATIONS = 10
RESTARTS = 5

WRITER = """
import os, shutil, sys, time
path, way, lines, rotations = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
log = open(path, "a")
lost = []
for number in range(lines):
    log.write(f"line {number}, and something that makes it longer\\n")
    if number % 500 == 499:
        log.flush()
        time.sleep(0.01)
    if number % (lines // rotations) == lines // rotations // 2:
        log.flush()
        for old in range(20, 0, -1):
            if os.path.exists(f"{path}.{old}"):
                os.rename(f"{path}.{old}", f"{path}.{old + 1}")
        if way == "rename":
            os.rename(path, f"{path}.1")
            time.sleep(0.005)
            log.write(f"line {number}, late\\n")
            log.close()
            log = open(path, "a")
        else:
            shutil.copy(path, f"{path}.1")
            log.write(f"line {number}, between\\n")
            log.flush()
            os.truncate(path, 0)
print("done", flush=True)
"""
"""A program that logs and rotates. Each time, it writes one line more, after the renaming or the copy."""


class Kept(ThreadedDistributionTarget):
    """A target that keeps what it gets."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__(1)
        self._lines = lines

    def process(self, message: str) -> None:
        self._lines.append(message)


async def tail(path: Path, state: Path, lines: list[str], until_lines: int) -> None:
    """Run a distributor from the file to a list, until so many lines are there, and shut it down."""
    distributor = Distributor()
    source = FileSource(str(path), state=str(state), from_start=True, poll_ms=20)
    distributor.add_source(source)
    distributor.add_target(Kept(lines), options=TargetOptions(full="wait"))
    await distributor.start()
    running = asyncio.create_task(distributor.run())
    await until(lambda: len(lines) >= until_lines, within=50)
    await distributor.shutdown()
    await running


def rotations(path: Path) -> int:
    """Return how often the log has been rotated."""
    return len(list(path.parent.glob(f"{path.name}.*")))


@pytest.mark.slow
@pytest.mark.parametrize("way", ["rename", "copy-truncate"])
def test_each_line_comes_once(way: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    log, state = tmp_path / "app.log", tmp_path / "state.json"
    lines: list[str] = []
    arguments = ["-c", WRITER, str(log), way, str(LINES), str(ROTATIONS)]

    async def main() -> None:
        parts = RESTARTS + 1
        for part in range(1, parts):
            await tail(log, state, lines, LINES * part // parts)
            stopped_at = rotations(log)
            await until(lambda: rotations(log) > min(stopped_at, ROTATIONS - 1))  # noqa: B023 - called here only
        await tail(log, state, lines, LINES + (ROTATIONS if way == "rename" else 0))

    with Program(arguments, realm=new_realm()) as writer:
        run(main(), within=55)
        writer.expect("done")

    late = Counter(line for line in lines if line.endswith(("late", "between")))
    regular = [line for line in lines if line not in late]
    assert regular == [f"line {n}, and something that makes it longer" for n in range(LINES)]
    if way == "rename":
        assert len(late) == ROTATIONS
        assert set(late.values()) == {1}
        assert "lost" not in caplog.text
    else:
        assert not late
        assert caplog.text.count("between the copy and the truncation") == ROTATIONS
