"""Waiting for threads to end, and saying which have not."""

import logging
import threading
import time
from collections.abc import Iterable

from colugo.dispatcher.checks import LONGEST_TTL_MS

_LOGGER = logging.getLogger(__name__)


def join_all(threads: Iterable[threading.Thread], timeout_ms: float, who: str) -> list[threading.Thread]:
    """Wait for all threads but this one.

    Args:
        threads: those that have not been started are no matter.
        timeout_ms: milliseconds to wait for all of them together.
        who: has been stopped, for the log.

    Returns:
        Those that still run.
    """
    deadline = time.monotonic() + min(timeout_ms, LONGEST_TTL_MS) / 1000  # join cannot wait for ages
    others = [one for one in threads if one is not threading.current_thread() and one.is_alive()]
    for thread in others:
        threading.Thread.join(thread, max(0.0, deadline - time.monotonic()))
    still = [thread for thread in others if thread.is_alive()]
    if still:
        names = ", ".join(repr(thread.name) for thread in still)
        _LOGGER.warning("%d ms after stop() of %r these threads still run: %s", timeout_ms, who, names)
    return still
