"""The pause between two tries."""

import random

_MOST_DOUBLINGS = 32


def backoff_s(tries: int, first_ms: int, most_ms: int) -> float:
    """Return a pause in seconds with full jitter, so that clients of one server do not all return at once.

    It is at most `first_ms` milliseconds after the first try that failed; the limit doubles with each of the
    `tries`, up to `most_ms`.
    """
    limit_ms = min(most_ms, first_ms * 2 ** min(tries - 1, _MOST_DOUBLINGS))
    return random.uniform(0, limit_ms / 1000)  # noqa: S311 - spreads load, keeps no secret
