"""The demo as a full-screen display on a terminal."""

import logging
from typing import Self

from rich.console import Console
from rich.layout import Layout
from rich.live import Live

from colugo.cli.demo import panels
from colugo.cli.demo.formats import NS_PER_S
from colugo.cli.demo.record import Record

LEAST_WIDTH = 80
LEAST_HEIGHT = 24
_WIDE = 100
_TALL = 26
_HEADER_ROWS = 2
_LOW_TOP_ROWS = 9
_TALL_TOP_ROWS = 11
_FRAME_ROWS = 2


class ScreenView:
    """A view that draws the record on the whole terminal."""

    period_ms = 125

    def __init__(self, record: Record, console: Console, title: str, *, length_ms: int) -> None:
        self._record = record
        self._console = console
        self._title = title
        self._length_ms = length_ms
        self._live = Live(
            console=console,
            screen=True,
            auto_refresh=False,  # no thread: the demo refreshes
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._handlers: list[logging.Handler] = []

    def show(self, now_ns: int) -> None:
        """Draw the screen."""
        self._live.update(self._draw(now_ns), refresh=True)

    def __enter__(self) -> Self:
        root = logging.getLogger()
        self._handlers, root.handlers = root.handlers, [_LogNotes(self._record)]
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()
        logging.getLogger().handlers = self._handlers

    def _draw(self, now_ns: int) -> Layout:
        width, height = self._console.size
        wide, tall = width >= _WIDE, height >= _TALL
        top_rows = _TALL_TOP_ROWS if tall else _LOW_TOP_ROWS
        event_rows = height - _HEADER_ROWS - top_rows - _FRAME_ROWS
        record = self._record
        screen, top, bottom = Layout(), Layout(size=top_rows), Layout()
        header = panels.header(record, now_ns, self._title, length_ms=self._length_ms)
        top.split_row(
            Layout(panels.nodes(record, tall=tall)), Layout(panels.flows(record, wide=wide, tall=tall))
        )
        bottom.split_row(
            Layout(panels.checklist(record, wide=wide), ratio=13 if wide else 8),
            Layout(panels.events(record, event_rows), ratio=12),
        )
        screen.split_column(Layout(header, size=_HEADER_ROWS), top, bottom)
        return screen


class _LogNotes(logging.Handler):
    """A handler that shows log messages among the events, because printing them would break the screen."""

    def __init__(self, record: Record) -> None:
        super().__init__()
        self._record = record

    def emit(self, message: logging.LogRecord) -> None:
        """Add a log message to the events."""
        self._record.note(int(message.created * NS_PER_S), "log", f"{message.name}: {message.getMessage()}")
