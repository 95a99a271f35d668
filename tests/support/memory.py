"""How much memory a call takes, and a limit for what it may ask for."""

import resource
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_STATM = Path("/proc/self/statm")


def peak_bytes(call: Callable[[], Any]) -> int:
    """How many bytes of Python's memory the call needed at most, its result included."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        result = call()
        peak = tracemalloc.get_traced_memory()[1] - before
        del result
        return peak
    finally:
        tracemalloc.stop()


@contextmanager
def memory_limit(more: int) -> Iterator[None]:
    """Let every allocation fail that takes the process over its present size by so many bytes.

    It counts addresses, not use: what is asked for and never touched counts too. Where the system
    does not tell the size (elsewhere than on Linux), nothing is limited.
    """
    if not _STATM.exists():
        yield
        return
    size = int(_STATM.read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (size + more, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
