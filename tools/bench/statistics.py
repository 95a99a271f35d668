"""Summary statistics of measured values."""

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Summary:
    """Order statistics of some values, in their unit.

    Attributes:
        count: how many values there were.
        minimum: the smallest.
        p50: the median.
        p99: the value that 99 of 100 do not exceed.
        maximum: the largest.
    """

    count: int
    minimum: float
    p50: float
    p99: float
    maximum: float


def percentile(values: Sequence[float], percent: float) -> float:
    """The nearest-rank percentile: always one of the values, never a mean of two.

    Args:
        values: at least one, in any order.
        percent: above 0, at most 100.

    Raises:
        ValueError: if there is no value, or no such percentile.
    """
    if not values:
        raise ValueError("no values, so no percentile")
    if not 0 < percent <= 100:  # noqa: PLR2004 - percent
        raise ValueError(f"a percentile is above 0 and at most 100, not {percent}")
    return sorted(values)[math.ceil(len(values) * percent / 100) - 1]


def summarize(values: Sequence[float]) -> Summary | None:
    """Sum up values in any order; None if there are none."""
    if not values:
        return None
    return Summary(
        count=len(values),
        minimum=min(values),
        p50=percentile(values, 50),
        p99=percentile(values, 99),
        maximum=max(values),
    )
