"""What the roles of benchmark processes share.

They are told what to do line by line on standard input, answer on standard output, and end with their
input. Times are nanoseconds of CLOCK_MONOTONIC, which the processes of a machine share.
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
    """Write a line, in one piece, so that lines of several threads cannot mix."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def obey(actions: Actions) -> None:
    """Do what the lines of standard input say, until it ends.

    When it ends in the midst of an action, the process lives for ten seconds at most, so that none is left
    when a benchmark was killed.

    Args:
        actions: what to do, by the first word of a line; they take the other words.
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
