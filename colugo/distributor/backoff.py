"""The pause between two tries."""

import random

_MOST_DOUBLINGS = 32


def backoff_s(tries: int, first_ms: int, most_ms: int) -> float:
    """Return a pause with full jitter, so that clients of one server do not all return at once.

    Args:
        tries: the number of tries that have failed, at least 1.
        first_ms: milliseconds, the longest first pause; the limit doubles with each try.
        most_ms: milliseconds, the longest pause of all.

    Returns:
        Seconds, from 0 to the limit.
    """
    limit_ms = min(most_ms, first_ms * 2 ** min(tries - 1, _MOST_DOUBLINGS))
    return random.uniform(0, limit_ms / 1000)  # noqa: S311 - spreads load, keeps no secret
