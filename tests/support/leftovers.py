"""The resources of a process that nodes use, none of which may be left when they have stopped."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.essentials import wait_until


def open_files() -> int:
    """How many descriptors it has."""
    return len(list(Path("/proc/self/fd").iterdir()))


def state() -> dict[str, int]:
    """How much it has of what a node takes."""
    return {
        "descriptors": open_files(),
        "threads": len(list(Path("/proc/self/task").iterdir())),
        "Python's threads": threading.active_count(),
    }


@contextmanager
def nothing_left() -> Iterator[None]:
    """No more than before, as soon as the kernel has removed what has ended."""
    before = state()
    yield
    assert wait_until(lambda: all(now <= before[what] for what, now in state().items()), within=3), (
        before,
        state(),
    )
