"""The summary at the end of the demo: each expectation with its outcome, and the verdict."""

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from colugo.cli.demo.expectations import ExpectationResult, ExpectationState, findings
from colugo.cli.demo.formats import NS_PER_S
from colugo.cli.demo.record import Record

_STYLES = {ExpectationState.OK: "green", ExpectationState.FAILED: "bold red"}


def print_summary(record: Record, console: Console, now_ns: int) -> bool:
    """Print the summary; return True if all expectations were met.

    Args:
        record: the complete record.
        console: the console to print to.
        now_ns: the time in nanoseconds since 1970.
    """
    found = findings(record, final=True)
    failed = [finding for finding in found if finding.state is not ExpectationState.OK]
    console.print(_table(found))
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


def _table(found: list[ExpectationResult]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for head in ("What", "Expected", "Seen", "Result"):
        table.add_column(head)
    for finding in found:
        table.add_row(
            finding.what, finding.expected, finding.seen, Text(finding.state, _STYLES[finding.state])
        )
    return table
