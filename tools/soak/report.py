"""A soak's outcome for people: the table, and what is known of messages that are missing."""

from collections.abc import Iterator
from pathlib import Path

from rich.table import Table

from tools.soak.records import CUT, KILLED, MENDED, STARTED, Record, read_records
from tools.soak.soak import EVENTS, MIB, Outcome

_EXPLAINED = 10
_AROUND_MS = 3_000


def as_table(outcome: Outcome) -> Table:
    """The figures."""
    plan, verdict = outcome.plan, outcome.verdict
    table = Table(title=f"Soak with the seed {plan.seed}")
    table.add_column("what")
    table.add_column("how many", justify="right")
    for what, value in rows(outcome):
        table.add_row(what, value)
    table.caption = f"FAILED: {len(verdict.faults)} faults" if verdict.faults else "passed"
    return table


def rows(outcome: Outcome) -> Iterator[tuple[str, str]]:
    """The lines of the table."""
    verdict = outcome.verdict
    yield "confirmed", f"{verdict.confirmed:,}"
    for name, group in verdict.groups.items():
        yield f"{name}: confirmed and never handled", f"{len(verdict.missing[name]):,}"
        yield f"{name}: handled", f"{group.handled:,}"
        yield f"{name}: handled, not known to be confirmed", f"{group.unconfirmed:,}"
        yield f"{name}: duplicates flagged as redelivered", f"{group.flagged:,}"
        yield f"{name}: duplicates that consumers left out", f"{group.counted:,}"
        yield f"{name}: duplicates unflagged", f"{group.unflagged:,}"
    for role, count in sorted(outcome.kills.items()):
        yield f"kills of a {role}", f"{count:,}"
    yield "cuts of a cable", f"{outcome.cuts:,}"
    yield "waits of a producer for room", f"{verdict.full:,}"
    for role, size in outcome.memory.items():
        yield f"most memory of a {role}, MiB", f"{size / MIB:.0f}"
    yield "seconds until the last was confirmed", f"{outcome.sending_s:.0f}"
    yield "seconds until all was acknowledged", f"{outcome.seconds:.0f}"


def explain(outcome: Outcome, folder: Path) -> Iterator[str]:
    """What the records say of the messages that a group has never handled."""
    events = list(read_records(folder / EVENTS))
    for group, missing in outcome.verdict.missing.items():
        for message_id in missing[:_EXPLAINED]:
            yield f"{group} has never handled {message_id}:"
            said = sorted(_of(message_id, folder), key=lambda one: one[1][1])
            times = [record[1] for _, record in said]
            around = [("events", one) for one in events if _is_near(one, times)]
            for name, record in sorted([*said, *around], key=lambda one: one[1][1]):
                yield f"  {name}: {record}"


def _of(message_id: str, folder: Path) -> Iterator[tuple[str, Record]]:
    for path in sorted(folder.glob("*.records")):
        for record in read_records(path):
            if message_id in record:
                yield path.stem, record


def _is_near(event: Record, times: list[int]) -> bool:
    if event[0] not in (STARTED, KILLED, CUT, MENDED):
        return False
    return any(abs(event[1] - time) < _AROUND_MS for time in times)
