"""The panels of the demo's screen, each drawn from the record."""

from rich import box
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from colugo.cli.demo.demo_messages import DemoEvent
from colugo.cli.demo.expectations import ExpectationState, findings
from colugo.cli.demo.formats import NS_PER_S, readings, typical_ms
from colugo.cli.demo.record import NS_PER_MS, Record

_MARKS = {
    ExpectationState.OK: ("✓", "green"),
    ExpectationState.FAILED: ("✗", "red"),
    ExpectationState.WAITING: ("·", "dim"),
}
_STYLES = {
    "answer": "green",
    "dropped": "yellow",
    "failed": "red",
    "found": "green",
    "kill": "red",
    "log": "yellow",
    "lost": "red",
    "slow": "yellow",
    "timeout": "yellow",
    "trouble": "bold red",
}
_NAME_CELLS = 8


def header(record: Record, now_ns: int, title: str, *, length_ms: int) -> RenderableType:
    """Draw the title and the progress bar, in two rows."""
    elapsed_s, length_s = (now_ns - record.started_ns) / NS_PER_S, length_ms / 1000
    line = Table.grid(expand=True, padding=(0, 1))
    line.add_column(ratio=1, no_wrap=True)
    line.add_column(justify="right", no_wrap=True)
    line.add_row(
        Text.assemble((" colugo demo", "bold"), "  ", (title, "dim")),
        Text(f"{elapsed_s:.1f} of {length_s:.0f} s", "dim"),
    )
    bar = ProgressBar(length_s, min(elapsed_s, length_s), complete_style="cyan", finished_style="cyan")
    return Group(line, bar)


def nodes(record: Record, *, tall: bool) -> Panel:
    """Draw the processes and their sockets, in at most nine rows."""
    table = _grid()
    table.add_column(width=1)
    table.add_column(no_wrap=True, min_width=_NAME_CELLS)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(no_wrap=True, ratio=1)
    table.add_column(justify="right", no_wrap=True)
    table.add_row("", "node", "pid", "sockets", "found", style="dim")
    for name, pid in record.pids.items():
        mark, style = _node_state(record, name)
        table.add_row(Text(mark, style), Text(name, style), str(pid), *_node_facts(record, name))
    if not tall:
        return _panel(table, "Nodes, each a process")
    count = len(record.sockets)
    return _panel(
        Group(table, Text(f"\n{count} sockets are advertised over mDNS", "dim")), "Nodes, each a process"
    )


def flows(record: Record, *, wide: bool, tall: bool) -> Panel:
    """Draw the readings and the servers' shares, in at most nine rows; seven on a low screen."""
    content: tuple[RenderableType, ...] = (_readings(record, wide=wide), _shares(record))
    if tall:
        heads = (Text("readings of this machine", "dim"), Text("requests, round robin", "dim"))
        content = (heads[0], content[0], heads[1], content[1])
    return _panel(Group(*content), "Messages")


def checklist(record: Record, *, wide: bool) -> Panel:
    """Draw the expectations and their results, one row each."""
    table = _grid()
    table.add_column(width=1)
    table.add_column(no_wrap=True, ratio=None if wide else 1)
    if wide:
        table.add_column(no_wrap=True, ratio=1, style="dim")
    found = findings(record)
    for finding in found:
        mark, style = _MARKS[finding.state]
        what = Text(finding.what, "" if finding.state is ExpectationState.OK else style)
        table.add_row(Text(mark, style), what, *([finding.seen] if wide else []))
    done = sum(finding.state is ExpectationState.OK for finding in found)
    return _panel(table, f"Expected: {done} of {len(found)}")


def events(record: Record, rows: int) -> Panel:
    """Draw the latest events.

    Args:
        record: the record.
        rows: the number of rows available.
    """
    table = _grid()
    table.add_column(justify="right", no_wrap=True, style="dim")
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, ratio=1)
    for note in record.notes[-rows:] if rows > 0 else []:
        seconds = (note.at_ns - record.started_ns) / NS_PER_S
        first_line = note.text.split("\n")[0]
        table.add_row(f"{seconds:.2f}", Text(note.kind, _STYLES.get(note.kind, "cyan")), Text(first_line))
    return _panel(table, "Events")


def _node_state(record: Record, name: str) -> tuple[str, str]:
    status = record.exits.get(name)
    if status is not None:
        return ("○", "dim") if status == 0 else ("✗", "red")
    return ("●", "green") if name in record.found_ns else ("○", "yellow")


def _node_facts(record: Record, name: str) -> tuple[str, str]:
    kinds = sorted(str(socket.kind) for socket in record.sockets.values() if socket.node == name)
    sockets = " ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds))
    born_ns, found_ns = record.born_ns.get(name), record.found_ns.get(name)
    if born_ns is None or found_ns is None:
        return sockets, ""
    return sockets, f"{(found_ns - born_ns) / NS_PER_MS:.0f} ms"


def _readings(record: Record, *, wide: bool) -> Table:
    table = _grid()
    table.add_column(no_wrap=True, width=_NAME_CELLS)
    table.add_column(no_wrap=True, ratio=1, style="cyan")
    if wide:
        table.add_column(justify="right", no_wrap=True)
    table.add_column(justify="right", no_wrap=True, style="dim")
    for name, value, flow in readings(record):
        count = [str(flow.received)] if wide else []
        table.add_row(name, value, *count, typical_ms(flow.delays_ms))
    return table


def _shares(record: Record) -> Table:
    table = _grid()
    table.add_column(no_wrap=True, width=_NAME_CELLS)
    table.add_column(no_wrap=True, ratio=1)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(justify="right", no_wrap=True, style="dim")
    answers = record.answers()
    most = max(answers.values(), default=1)
    for server, count in sorted(answers.items()):
        style = "red" if record.exits.get(server) else "cyan"
        bar = ProgressBar(most, count, complete_style=style, finished_style=style)
        table.add_row(server, bar, str(count), typical_ms(_times_ms(record, server)))
    return table


def _times_ms(record: Record, server: str) -> list[float]:
    return [
        report.elapsed_ms
        for report in record.requests
        if report.about == server and report.event is DemoEvent.ANSWERED
    ]


def _grid() -> Table:
    return Table.grid(expand=True, padding=(0, 1, 0, 0))


def _panel(content: RenderableType, title: str) -> Panel:
    return Panel(
        content, title=f"[bold]{title}", title_align="left", border_style="bright_black", box=box.ROUNDED
    )
