"""The demo as lines of text, for pipes, logs and small terminals, and the summary at its end."""

from typing import Self

import click
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from colugo.cli.demo.expectations import ExpectationState, findings
from colugo.cli.demo.formats import NS_PER_S, readings
from colugo.cli.demo.record import Record


class PlainView:
    """A view that prints a line for each event, and a summary of the messages once a second."""

    period_ms = 100

    def __init__(self, record: Record) -> None:
        self._record = record
        self._printed = 0
        self._summary_ns = record.started_ns

    def show(self, now_ns: int) -> None:
        """Print the new events."""
        notes = self._record.notes[self._printed :]
        self._printed += len(notes)
        for note in notes:
            self._line(note.at_ns, note.kind, note.text.replace("\n", "\n" + " " * 24))
        if now_ns - self._summary_ns >= NS_PER_S and self._record.closing_ns is None:
            self._summary_ns = now_ns
            self._print_summary(now_ns)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def _print_summary(self, now_ns: int) -> None:
        values = [f"{name} {value}" for name, value, _ in readings(self._record)]
        if values:
            self._line(now_ns, "readings", "; ".join(values))
        answers = self._record.answers()
        if answers:
            counts = ", ".join(f"{server} {count}" for server, count in sorted(answers.items()))
            self._line(now_ns, "answers", counts)

    def _line(self, at_ns: int, kind: str, text: str) -> None:
        click.echo(f"{(at_ns - self._record.started_ns) / NS_PER_S:7.3f} s  {kind:<12}  {text}")


def print_summary(record: Record, console: Console, now_ns: int) -> bool:
    """Print each expectation with its outcome, and the verdict; return True if all were met."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for head in ("What", "Expected", "Seen", "Result"):
        table.add_column(head)
    found = findings(record, final=True)
    for what, expected, seen, state in found:
        style = "green" if state is ExpectationState.OK else "bold red"
        table.add_row(what, expected, seen, Text(state, style))
    console.print(table)
    failed = [finding for finding in found if finding.state is not ExpectationState.OK]
    elapsed_s = (now_ns - record.started_ns) / NS_PER_S
    if not failed and not record.troubles:
        console.print(f"All {len(found)} as expected, in {elapsed_s:.1f} s.", style="green")
        return True
    console.print(
        f"{len(failed)} of {len(found)} not as expected, after {elapsed_s:.1f} s:", style="bold red"
    )
    for trouble in record.troubles:
        console.print(Text(f"- {trouble}"))
    for finding in failed:
        console.print(Text(f"- {finding.what}: expected {finding.expected}; seen: {finding.seen}"))
    return False
