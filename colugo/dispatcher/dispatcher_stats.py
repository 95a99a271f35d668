"""The counters of a dispatcher."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DispatcherStats:
    """What a dispatcher has done; with a node, what others have asked its producers is counted, too.

    Attributes:
        requests: requests begun.
        results: results in time.
        errors: producers that raised, could not take a request, or were lost.
        silent: producers that did not answer in time.
        late: answers that came after the ttl, and were dropped.
        dropped: what listeners could not take: they had been stopped, or were too far behind.
        pending: requests that are not over yet.
    """

    requests: int
    results: int
    errors: int
    silent: int
    late: int
    dropped: int
    pending: int
