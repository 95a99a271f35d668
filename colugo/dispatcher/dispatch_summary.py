"""What a request has come to."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DispatchSummary:
    """What a request has come to; each of its producers is in one of the three counts.

    Attributes:
        producers: how many were asked.
        results: how many have answered in time.
        errors: how many have raised, could not take the request, or were lost.
        silent: how many have not answered in time.
        elapsed_ms: milliseconds from the sending to the end.
    """

    producers: int
    results: int
    errors: int
    silent: int
    elapsed_ms: float
