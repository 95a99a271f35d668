"""Tables and formats of the stream commands' output."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import msgspec
from rich.cells import cell_len

from colugo.cli.network.output import GAP, cell, clean, screen, table
from colugo.cli.stream.access import Found
from colugo.protocol.description.stream_answers import LetterSummary, Summary

_KIB = 1024
_FOLDED = 20
"""The minimum width of a column that may wrap."""


def _print_cut(
    columns: Sequence[str], rows: Sequence[tuple[str, ...]], *, fold: Sequence[str], right: Sequence[str]
) -> None:
    """Print a table with one line per row, where the last column is cut to fit.

    The columns in `fold` may wrap; the others stay whole, so that users can paste them.
    """
    out = screen()
    made = table(columns, (map(cell, row) for row in rows), right=right)
    room = out.width
    for index, column in enumerate(made.columns[:-1]):
        width = max(cell_len(row[index]) for row in (columns, *rows))
        column.no_wrap = columns[index] not in fold
        room -= GAP + (width if column.no_wrap else min(width, _FOLDED))
    made.columns[-1].no_wrap, made.columns[-1].overflow = True, "ellipsis"
    made.columns[-1].max_width = max(room, _FOLDED)
    out.print(made)


def _one_line(text: str) -> str:
    return clean(" ".join(text.split()))


def when(ns: int) -> str:
    """Format a time, in nanoseconds since 1970, as local time."""
    try:
        return datetime.fromtimestamp(ns / 1e9).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    except (OverflowError, OSError, ValueError):
        return f"{ns} ns"


def amount(number: int) -> str:
    """Format a number of bytes, such as `12 B` and `1.5 MiB`."""
    if number < _KIB:
        return f"{number} B"
    size = float(number)
    for unit in ("KiB", "MiB", "GiB"):
        size /= _KIB
        if size < 1000 or unit == "GiB":  # noqa: PLR2004 - four digits would not be shorter
            break
    return f"{size:,.1f} {unit}"


def as_data(found: Found, message: Summary) -> dict[str, Any]:
    """Convert a message or dead letter to plain data for JSON."""
    data: dict[str, Any] = msgspec.to_builtins(message)
    return {"topic": found.stream.topic, "node": found.node, "store": found.stream.store, **data}


def print_messages(messages: Iterable[Summary]) -> None:
    """Print a table of messages."""
    rows = [
        (
            message.id,
            when(message.sent_ns),
            clean(message.key),
            amount(message.size),
            _one_line(message.preview) if message.text else f"(hex) {message.preview}",
        )
        for message in messages
    ]
    _print_cut(("id", "sent", "key", "size", "message"), rows, fold=("key",), right=("size",))


def print_letters(letters: Iterable[LetterSummary]) -> None:
    """Print a table of dead letters."""
    rows = [
        (
            letter.id,
            clean(letter.group),
            clean(letter.key),
            f"{letter.attempts:,}",
            when(letter.died_ns),
            _one_line(letter.reason),
        )
        for letter in letters
    ]
    columns = ("id", "group", "key", "attempts", "died", "reason")
    _print_cut(columns, rows, fold=("group", "key"), right=("attempts",))
