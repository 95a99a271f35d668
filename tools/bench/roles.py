"""The command loop of a benchmark's processes.

They read commands line by line from standard input, answer on standard output, and exit when their input
ends. Times are nanoseconds of CLOCK_MONOTONIC, which the processes of a machine share.
"""

import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Mapping

Actions = Mapping[str, Callable[..., None]]
_END_S = 10.0


def say(line: str) -> None:
    """Write a line at once, so that lines of several threads do not mix."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def obey(actions: Actions) -> None:
    """Run commands from standard input until it ends.

    If it ends during an action, the process exits within ten seconds, so that none is left when a benchmark
    is killed.

    Args:
        actions: functions by the first word of a line; they take the other words.
    """
    lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(lines,), name="standard input", daemon=True).start()
    while line := lines.get():
        word, *rest = line.decode().split()
        actions[word](*rest)


def _read(lines: "queue.SimpleQueue[bytes]") -> None:
    # Unbuffered: a buffer has a lock, which a failing main thread could not take at its end.
    with os.fdopen(os.dup(sys.stdin.fileno()), "rb", buffering=0) as stdin:
        while line := stdin.readline():
            lines.put(line)
    lines.put(b"")
    time.sleep(_END_S)
    os._exit(1)
