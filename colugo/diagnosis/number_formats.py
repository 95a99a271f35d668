"""Formatting of numbers and lists for people."""

from collections.abc import Iterable, Sequence

_MOST = 4


def count(number: int, noun: str, plural: str = "") -> str:
    """Format a number with its noun, such as `1 node` and `1,200 nodes`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def some(names: Iterable[str], most: int = _MOST) -> str:
    """List at most a number of names, and how many more there are."""
    all_names: Sequence[str] = list(dict.fromkeys(names))
    if len(all_names) <= most:
        return ", ".join(all_names)
    return f"{', '.join(all_names[:most])} and {len(all_names) - most:,} more"


def duration(milliseconds: float) -> str:
    """Format a duration, such as `40 ms`, `3.2 s` and `5 min`."""
    if milliseconds < 1000:  # noqa: PLR2004 - a second
        return f"{milliseconds:.0f} ms"
    if milliseconds < 120_000:  # noqa: PLR2004 - two minutes
        return f"{milliseconds / 1000:.1f} s"
    return f"{milliseconds / 60_000:,.0f} min"
