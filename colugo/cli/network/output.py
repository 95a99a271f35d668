"""Output of tables and JSON."""

import json
from collections.abc import Iterable, Sequence

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

PIPE_WIDTH = 200
GAP = 2


def screen(pipe_width: int = PIPE_WIDTH) -> Console:
    """Open a console on standard output, a number of columns wide if that is not a terminal."""
    out = Console(highlight=False)
    if not out.is_terminal:
        out.width = pipe_width
    return out


def clean(text: str) -> str:
    """Replace the control characters in a text from another program, which could drive the terminal."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def cell(value: object, style: str = "") -> Text:
    """Make a table cell, without characters that control a terminal."""
    return Text(clean(str(value)), style)


def table(columns: Sequence[str], rows: Iterable[Iterable[Text]], *, right: Sequence[str] = ()) -> Table:
    """Make a table without lines; `right` names the right-aligned columns, those of numbers."""
    made = Table(box=None, padding=(0, GAP, 0, 0), pad_edge=False, header_style="bold")
    for column in columns:
        made.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        made.add_row(*row)
    return made


def print_json(data: object) -> None:
    """Print data as indented JSON."""
    click.echo(json.dumps(data, indent=2, ensure_ascii=False, default=str))
