"""The values of the plot's bars."""

from collections.abc import Sequence

from tools.bench.results import Row

REFERENCE = "pyzmq"
"""The library that is the unit of all bars."""
Groups = dict[str, dict[str, float]]
"""Ratios: by what was measured, and by library."""


def groups(rows: Sequence[Row]) -> Groups:
    """Compute the bars: by measurement, each other library's median as a multiple of the reference's.

    Args:
        rows: the rows of one benchmark; those without a value or a reference are left out.
    """
    medians: dict[str, dict[str, float]] = {}
    for row in rows:
        if row.summary is not None:
            medians.setdefault(row.name, {})[row.library] = row.summary.p50
    return {
        name: {library: median / its[REFERENCE] for library, median in its.items() if library != REFERENCE}
        for name, its in medians.items()
        if its.get(REFERENCE) and len(its) > 1
    }
