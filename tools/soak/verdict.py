"""What a soak has shown, by the records of its processes and what is left in the stores."""

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
"""Counters of the processes that stay 0, as far as they have been asked."""


@dataclass
class GroupFigures:
    """What one group has had.

    Attributes:
        handled: different messages.
        flagged: calls with a message that was handled at another time, too, and flagged as redelivered.
        unflagged: such calls without the flag, but for one of each message.
        untold: such calls of callbacks that are not told.
        unconfirmed: messages whose producer was killed before it could record that they were confirmed.
        counted: second times that a consumer has noticed itself, and not handed to its callback; only of
            those that were not killed later.
    """

    handled: int = 0
    flagged: int = 0
    unflagged: int = 0
    untold: int = 0
    unconfirmed: int = 0
    counted: int = 0


@dataclass
class Verdict:
    """The figures of one way that messages take, and what is wrong.

    Attributes:
        confirmed: messages whose `send_wait` returned.
        full: times that a producer had to wait for room, or that the relay has not taken a message in all
            tries.
        groups: figures of each.
        missing: ids of confirmed messages that a group has never handled, by group.
        faults: everything that must not be, as sentences; none: passed.
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
        producers: records of each, by name.
        consumers: records of each, by group and name.
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
    """What the callbacks were told, by id: whether it was redelivered; None if they are not told."""
    for name, records in members.items():
        for record in records:
            if record[0] == HANDLED:
                _note(verdict, labels, name, *record[2:4])
                handled[record[2]].append(record[4])
            elif record[0] == DAMAGED:
                verdict.faults.append(f"{name} was given something that nobody has sent: {record[2:]}")
            elif record[0] == ENDED:
                figures.counted += record[2].get("duplicates", 0)
            _look_at_counters(verdict, name, record)
    figures.handled = len(handled)
    figures.unconfirmed = len(handled.keys() - confirmed.keys())
    missing = verdict.missing[group] = [one for one in confirmed if one not in handled]
    if missing:
        verdict.faults.append(f"{group} has never handled {len(missing)} confirmed messages: {missing[:10]}")
    unflagged = [message_id for message_id, flags in handled.items() if flags.count(False) > 1]
    if unflagged:
        verdict.faults.append(
            f"{group} was given {len(unflagged)} messages twice without the flag: {unflagged[:10]}"
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
    """An id is of one message for ever."""
    if labels.setdefault(message_id, label) != label:
        verdict.faults.append(f"{name}: {message_id} is of {label}, and of {labels[message_id]}")


def _look_at_counters(verdict: Verdict, name: str, record: Record) -> None:
    if record[0] == ENDED:
        counters: Mapping[str, Any] = record[2]
        for which in NOTHING_ELSE:
            if counters.get(which):
                verdict.faults.append(f"{name} has counted {counters[which]} {which}")


def look_at_store(path: Path) -> list[str]:
    """What is wrong with a store that nobody has open: it is to be whole, and empty."""
    if not path.exists():
        return [f"{path.name} is not there"]
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
    """What a process has said that it should not have had to say."""
    lines = path.read_text(errors="replace").splitlines() if path.exists() else []
    wrong = [line for line in lines if _WRONG.search(line)]
    if not wrong:
        return []
    return [f"{path.name} has {len(wrong)} lines of errors, such as: {wrong[0][:300]}"]
