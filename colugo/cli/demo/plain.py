"""The demo as lines of text: for pipes, logs and small terminals."""

from types import TracebackType
from typing import Self

import click

from colugo.cli.demo.formats import NS_PER_S, readings
from colugo.cli.demo.record import Record


class PlainView:
    """Prints a line for each event, and once a second what flows.

    Args:
        record: what is shown.
    """

    period_ms = 100

    def __init__(self, record: Record) -> None:
        self._record = record
        self._printed = 0
        self._summed_up_ns = record.started_ns

    def show(self, now_ns: int) -> None:
        """Print what is new."""
        notes = self._record.notes[self._printed :]
        self._printed += len(notes)
        for note in notes:
            self._line(note.at_ns, note.kind, note.text.replace("\n", "\n" + " " * 24))
        if now_ns - self._summed_up_ns >= NS_PER_S and self._record.closing_ns is None:
            self._summed_up_ns = now_ns
            self._sum_up(now_ns)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        pass

    def _sum_up(self, now_ns: int) -> None:
        values = [f"{name} {value}" for name, value, _ in readings(self._record)]
        if values:
            self._line(now_ns, "readings", "; ".join(values))
        answers = self._record.answers()
        if answers:
            counts = ", ".join(f"{server} {count}" for server, count in sorted(answers.items()))
            self._line(now_ns, "answers", counts)

    def _line(self, at_ns: int, kind: str, text: str) -> None:
        click.echo(f"{(at_ns - self._record.started_ns) / NS_PER_S:7.3f} s  {kind:<12}  {text}")
