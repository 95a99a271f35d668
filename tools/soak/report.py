"""The report of a soak: a table of figures, and the records of missing messages."""

from collections.abc import Iterator
from pathlib import Path

from rich.table import Table

from tools.soak.plan import LISTENERS, MIB, Outcome
from tools.soak.records import CUT, KILLED, MENDED, STARTED, Record, read_records
from tools.soak.soak import EVENTS
from tools.soak.verdict import GroupFigures

_WAITS = {"streams": "waits of a producer for room", "relay": "refused, or away, in all tries"}
_EXPLAINED = 10
_AROUND_MS = 3_000


def as_table(outcome: Outcome) -> Table:
    """Make a table of the figures."""
    table = Table(title=f"Soak with the seed {outcome.plan.seed}")
    table.add_column("what")
    table.add_column("how many", justify="right")
    for what, value in rows(outcome):
        table.add_row(what, value)
    table.caption = f"FAILED: {len(outcome.faults)} faults" if outcome.faults else "passed"
    return table


def rows(outcome: Outcome) -> Iterator[tuple[str, str]]:
    """Yield the rows of the table."""
    for way, verdict in outcome.verdicts.items():
        yield f"{way}: confirmed", f"{verdict.confirmed:,}"
        yield f"{way}: {_WAITS[way]}", f"{verdict.full:,}"
        for name, group in verdict.groups.items():
            yield from _group_rows(name, group, len(verdict.missing[name]))
    for role, count in sorted(outcome.kills.items()):
        yield f"kills of a {role}", f"{count:,}"
    yield "kills together", f"{outcome.kills.total():,}"
    yield "cuts of a cable", f"{outcome.cuts:,}"
    for role, size in outcome.memory.items():
        yield f"most memory of a {role}, MiB", f"{size / MIB:.0f}"
    yield "seconds until the last was confirmed", f"{outcome.sending_s:.0f}"
    yield "seconds until all was acknowledged", f"{outcome.seconds:.0f}"


def _group_rows(name: str, group: GroupFigures, missing: int) -> Iterator[tuple[str, str]]:
    yield f"{name}: confirmed and never handled", f"{missing:,}"
    yield f"{name}: handled", f"{group.handled:,}"
    yield f"{name}: handled, not known to be confirmed", f"{group.unconfirmed:,}"
    if name == LISTENERS:
        yield f"{name}: handled again, or by another of them, too", f"{group.untold:,}"
    else:
        yield f"{name}: duplicates flagged as redelivered", f"{group.flagged:,}"
        yield f"{name}: duplicates unflagged", f"{group.unflagged:,}"
    yield f"{name}: duplicates that the library has left out", f"{group.counted:,}"


def explain(outcome: Outcome, folder: Path) -> Iterator[str]:
    """List the records of messages that a group never handled."""
    events = list(read_records(folder / EVENTS))
    for verdict in outcome.verdicts.values():
        for group, missing in verdict.missing.items():
            for message_id in missing[:_EXPLAINED]:
                yield f"{group} has never handled {message_id}:"
                found = sorted(_of(message_id, folder), key=_when)
                times = [record[1] for _, record in found]
                around = [("events", one) for one in events if _is_near(one, times)]
                for name, record in sorted([*found, *around], key=_when):
                    yield f"  {name}: {record}"


def _when(found: tuple[str, Record]) -> int:
    return int(found[1][1])


def _of(message_id: str, folder: Path) -> Iterator[tuple[str, Record]]:
    for path in sorted(folder.glob("*.records")):
        for record in read_records(path):
            if message_id in record:
                yield path.stem, record


def _is_near(event: Record, times: list[int]) -> bool:
    if event[0] not in (STARTED, KILLED, CUT, MENDED):
        return False
    return any(abs(event[1] - time) < _AROUND_MS for time in times)
