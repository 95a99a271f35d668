"""The counters of a dispatcher, and those of one request."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DispatcherStats:
    """The counters of a dispatcher; with a node, requests of other nodes to its producers are included.

    Attributes:
        requests: requests begun.
        results: results in time.
        errors: producers that raised, could not take a request, or were lost.
        silent: producers that did not answer in time.
        late: answers that came after the ttl, and were dropped.
        dropped: results, errors and summaries that a listener could not take: it had been stopped, or its
            mailbox was full.
        pending: requests that are not over yet.
    """

    requests: int
    results: int
    errors: int
    silent: int
    late: int
    dropped: int
    pending: int


@dataclass(frozen=True, slots=True)
class DispatchSummary:
    """The outcome of a request; each of its producers is in one of the three counts.

    Attributes:
        producers: the producers that were asked.
        results: those that have answered in time.
        errors: those that have raised, could not take the request, or were lost.
        silent: those that have not answered in time.
        elapsed_ms: milliseconds from the sending to the end.
    """

    producers: int
    results: int
    errors: int
    silent: int
    elapsed_ms: float
