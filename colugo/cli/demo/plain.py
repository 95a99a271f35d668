"""The demo as lines of text, for pipes, logs and small terminals."""

from types import TracebackType
from typing import Self

import click

from colugo.cli.demo.formats import NS_PER_S, readings
from colugo.cli.demo.record import Record


class PlainView:
    """A view that prints a line for each event, and a summary of the messages once a second.

    Args:
        record: the record to show.
    """

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

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
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
