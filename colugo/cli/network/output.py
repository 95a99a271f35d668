"""Output of findings and JSON."""

import json
from collections import Counter
from collections.abc import Iterable

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from colugo.diagnosis.finding import Finding, Level
from colugo.diagnosis.wording import count

_STYLES = {Level.OK: "green", Level.WARNING: "yellow", Level.WRONG: "bold red"}
_WIDEST_CHECK = 24


def console() -> Console:
    """Open a console on standard output that wraps lines only on a terminal."""
    return Console(highlight=False, soft_wrap=False)


def clean(text: str) -> str:
    """Replace the control characters in a text from another program, which could drive the terminal."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def print_json(data: object) -> None:
    """Print data as indented JSON."""
    click.echo(json.dumps(data, indent=2, ensure_ascii=False, default=str))


def as_data(finding: Finding) -> dict[str, str]:
    """Convert a finding to plain data for JSON."""
    return {
        "level": str(finding.level),
        "check": finding.check,
        "text": finding.text,
        "advice": finding.advice,
    }


def print_findings(findings: Iterable[Finding], out: Console) -> None:
    """Print one line per finding; on a terminal, wrap it and put the advice below."""
    if not out.is_terminal:
        for one in findings:
            advice = f" → {one.advice}" if one.advice else ""
            click.echo(clean(f"{one.level:8} {one.check}: {one.text}{advice}"))
        return
    table = Table.grid(padding=(0, 1))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, max_width=_WIDEST_CHECK, style="bold")
    table.add_column(overflow="fold")
    for one in findings:
        text = Text(clean(one.text))
        if one.advice:
            text.append(f"\n→ {clean(one.advice)}", style="italic")
        table.add_row(Text(str(one.level), style=_STYLES[one.level]), Text(clean(one.check)), text)
    out.print(table)


def print_result(findings: Iterable[Finding]) -> None:
    """Print the number of errors and warnings."""
    levels = Counter(one.level for one in findings)
    wrong, warnings = levels[Level.WRONG], levels[Level.WARNING]
    errors = count(wrong, "error") if wrong else "No errors"
    click.echo(f"\n{errors}, {count(warnings, 'warning')}." if warnings else f"\n{errors}.")
