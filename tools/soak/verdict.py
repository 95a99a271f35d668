"""The verdict on a soak, from the records of its processes and the contents of the stores."""

import re
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tools.soak.records import CONFIRMED, DAMAGED, ENDED, FULL, HANDLED, Record

_WRONG = re.compile(r" (ERROR|CRITICAL) |^Traceback|^Fatal Python error|Assertion")
_TABLES = ("messages", "attempts", "dead", "corrupt")
NOTHING_ELSE = ("callback_errors", "malformed", "undecodable")
"""Counters of the processes that must stay 0."""


@dataclass
class GroupFigures:
    """The figures of one group.

    Attributes:
        handled: the number of distinct messages.
        flagged: repeated callbacks with a message that was flagged as redelivered.
        unflagged: repeated callbacks with a message that was not flagged.
        untold: repeated callbacks where the flag is not known.
        unconfirmed: messages whose producer was killed before it recorded their confirmation.
        counted: duplicates that consumers detected and did not deliver; without consumers that were killed
            later.
    """

    handled: int = 0
    flagged: int = 0
    unflagged: int = 0
    untold: int = 0
    unconfirmed: int = 0
    counted: int = 0


@dataclass
class Verdict:
    """The figures and faults of messages through streams, or through the relay.

    Attributes:
        confirmed: the number of messages whose `send_wait` returned.
        full: how often a producer waited for room, or the relay did not accept a message in all retries.
        groups: the figures of each group.
        missing: ids of confirmed messages that a group never handled, by group.
        faults: the faults, as sentences; the soak passes if there are none.
    """

    confirmed: int = 0
    full: int = 0
    groups: dict[str, GroupFigures] = field(default_factory=dict)
    missing: dict[str, list[str]] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)


def judge(
    producers: Mapping[str, Iterable[Record]], consumers: Mapping[str, Mapping[str, Iterable[Record]]]
) -> Verdict:
    """Compare what was confirmed with what was handled.

    Args:
        producers: the records of each producer, by name.
        consumers: the records of each consumer, by group and name.
    """
    verdict = Verdict()
    labels: dict[str, str] = {}
    for name, records in producers.items():
        for record in records:
            if record[0] == CONFIRMED:
                _note(verdict, labels, name, *record[2:4])
            verdict.full += record[0] == FULL
            _look_at_counters(verdict, name, record)
    verdict.confirmed = len(labels)
    confirmed = dict(labels)
    for group, members in consumers.items():
        _judge_group(verdict, group, members, confirmed, labels)
    if len(set(labels.values())) < len(labels):
        twice = [label for label, count in Counter(labels.values()).items() if count > 1]
        verdict.faults.append(f"{len(twice)} messages have two ids, such as {twice[:5]}")
    return verdict


def _judge_group(
    verdict: Verdict,
    group: str,
    members: Mapping[str, Iterable[Record]],
    confirmed: Mapping[str, str],
    labels: dict[str, str],
) -> None:
    figures = verdict.groups[group] = GroupFigures()
    handled: dict[str, list[bool | None]] = defaultdict(list)
    """The redelivered flags of all callbacks, by message id; None where the flag is not known."""
    for name, records in members.items():
        for record in records:
            if record[0] == HANDLED:
                _note(verdict, labels, name, *record[2:4])
                handled[record[2]].append(record[4])
            elif record[0] == DAMAGED:
                verdict.faults.append(f"{name} received a damaged message: {record[2:]}")
            elif record[0] == ENDED:
                figures.counted += record[2].get("duplicates", 0)
            _look_at_counters(verdict, name, record)
    figures.handled = len(handled)
    figures.unconfirmed = len(handled.keys() - confirmed.keys())
    missing = verdict.missing[group] = [one for one in confirmed if one not in handled]
    if missing:
        verdict.faults.append(f"{group} never handled {len(missing)} confirmed messages: {missing[:10]}")
    unflagged = [message_id for message_id, flags in handled.items() if flags.count(False) > 1]
    if unflagged:
        verdict.faults.append(
            f"{group} received {len(unflagged)} messages twice without the flag: {unflagged[:10]}"
        )
    for flags in handled.values():
        _count_duplicates(figures, flags)


def _count_duplicates(figures: GroupFigures, flags: list[bool | None]) -> None:
    if None in flags:
        figures.untold += len(flags) - 1
        return
    without = max(1, flags.count(False))
    figures.unflagged += without - 1
    figures.flagged += len(flags) - without


def _note(verdict: Verdict, labels: dict[str, str], name: str, message_id: str, label: str) -> None:
    """Note the label of an id; it is a fault if the id had another one."""
    if labels.setdefault(message_id, label) != label:
        verdict.faults.append(f"{name}: {message_id} is of {label}, and of {labels[message_id]}")


def _look_at_counters(verdict: Verdict, name: str, record: Record) -> None:
    if record[0] == ENDED:
        counters: Mapping[str, Any] = record[2]
        for which in NOTHING_ELSE:
            if counters.get(which):
                verdict.faults.append(f"{name} has counted {counters[which]} {which}")


def look_at_store(path: Path) -> list[str]:
    """List the faults of a closed store, which must be intact and empty."""
    if not path.exists():
        return [f"{path.name} does not exist"]
    try:
        with closing(sqlite3.connect(path)) as connection:
            return [f"{path.name} {finding}" for finding in _find(connection)]
    except sqlite3.DatabaseError as error:
        return [f"{path.name} is damaged: {error}"]


def _find(connection: sqlite3.Connection) -> Iterator[str]:
    (found,) = connection.execute("PRAGMA integrity_check").fetchone()
    if found != "ok":
        yield f"is damaged: {found}"
    for table in _TABLES:
        (count,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608
        if count:
            yield f"has {count} rows in {table}"


def look_at_output(path: Path) -> list[str]:
    """Report error messages in a process's output."""
    lines = path.read_text(errors="replace").splitlines() if path.exists() else []
    wrong = [line for line in lines if _WRONG.search(line)]
    if not wrong:
        return []
    return [f"{path.name} has {len(wrong)} lines of errors, such as: {wrong[0][:300]}"]
