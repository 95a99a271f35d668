"""What the roles of benchmark processes share.

They are told what to do line by line on standard input, answer on standard output, and end with their
input. Times are nanoseconds of CLOCK_MONOTONIC, which the processes of a machine share.
"""

import sys
from collections.abc import Callable, Mapping

Actions = Mapping[str, Callable[..., None]]


def say(line: str) -> None:
    """Write a line, in one piece, so that lines of several threads cannot mix."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def obey(actions: Actions) -> None:
    """Do what the lines of standard input say, until it ends.

    Args:
        actions: what to do, by the first word of a line; they take the other words.
    """
    for line in sys.stdin:
        word, *rest = line.split()
        actions[word](*rest)
