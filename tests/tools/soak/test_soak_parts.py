"""The soak finds what is wrong: messages missing, doubled in silence or damaged, and stores not empty."""

import sqlite3
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest
from click.testing import CliRunner

from colugo.store.sqlite.creation import create
from tools.soak.commands import main
from tools.soak.payloads import make_payload, read_label
from tools.soak.records import (
    CONFIRMED,
    DAMAGED,
    ENDED,
    FULL,
    HANDLED,
    Follower,
    Record,
    Recorder,
    read_records,
)
from tools.soak.troubles import cuts, kills
from tools.soak.verdict import Verdict, judge, look_at_output, look_at_store


def confirmed(*numbers: int) -> list[Record]:
    return [[CONFIRMED, 1000, f"id-{number}", f"label.{number}"] for number in numbers]


def handled(number: int, *, redelivered: bool = False) -> Record:
    return [HANDLED, 2000, f"id-{number}", f"label.{number}", redelivered, 1]


def judged(*consumed: Record, sent: list[Record] | None = None) -> Verdict:
    producers = {"producer0": confirmed(1, 2) if sent is None else sent}
    return judge(producers, {"audit": {"audit0": list(consumed[:1]), "audit1": list(consumed[1:])}})


def test_all_handled_once_is_no_fault() -> None:
    verdict = judged(handled(1), handled(2))
    assert verdict.faults == []
    assert verdict.confirmed == verdict.groups["audit"].handled == 2
    assert verdict.missing == {"audit": []}


def test_a_confirmed_message_that_was_never_handled_is_found() -> None:
    verdict = judged(handled(1))
    assert verdict.missing == {"audit": ["id-2"]}
    assert verdict.faults == ["audit never handled 1 confirmed messages: ['id-2']"]


def test_each_group_must_have_handled_it() -> None:
    both = {"audit": {"audit0": [handled(1)]}, "billing": {"billing0": list[Record]()}}
    assert judge({"producer0": confirmed(1)}, both).missing == {"audit": [], "billing": ["id-1"]}


@pytest.mark.parametrize("first", [True, False])
def test_a_second_time_that_is_flagged_is_no_fault_in_whatever_order(first: bool) -> None:  # noqa: FBT001
    verdict = judged(handled(1, redelivered=first), handled(1, redelivered=not first), handled(2))
    assert verdict.faults == []
    assert verdict.groups["audit"].flagged == 1
    assert verdict.groups["audit"].unflagged == 0


def test_a_second_time_without_the_flag_is_found_at_another_consumer_too() -> None:
    verdict = judged(handled(1), handled(1), handled(2))
    assert verdict.faults == ["audit received 1 messages twice without the flag: ['id-1']"]
    assert (verdict.groups["audit"].flagged, verdict.groups["audit"].unflagged) == (0, 1)


def test_three_times_flagged_are_two_duplicates() -> None:
    again = handled(1, redelivered=True)
    verdict = judged(again, again, again, handled(2))
    assert (verdict.groups["audit"].flagged, verdict.groups["audit"].unflagged) == (2, 0)


def test_what_was_handled_but_never_confirmed_is_counted() -> None:
    verdict = judged(handled(1), sent=[])
    assert verdict.faults == []
    assert verdict.groups["audit"].unconfirmed == 1


def test_an_id_that_is_given_to_two_messages_is_found() -> None:
    verdict = judged(handled(1), [HANDLED, 1, "id-2", "label.other", False, 1])
    assert verdict.faults == ["audit1: id-2 is of label.other, and of label.2"]


def test_a_message_that_was_stored_twice_is_found() -> None:
    verdict = judged(handled(1), handled(2), [HANDLED, 1, "id-3", "label.2", False, 1])
    assert verdict.faults == ["1 messages have two ids, such as ['label.2']"]


def test_a_damaged_message_is_found() -> None:
    (fault,) = judged(handled(1), handled(2), [DAMAGED, 1, "id-1", "'x'"]).faults
    assert "audit1 received a damaged message" in fault


def test_counters_of_what_must_not_happen_are_looked_at() -> None:
    ended = [ENDED, 1, {"duplicates": 3, "callback_errors": 2, "malformed": 0}]
    verdict = judged(handled(1), handled(2), ended)
    assert verdict.faults == ["audit1 has counted 2 callback_errors"]
    assert verdict.groups["audit"].counted == 3


def test_waits_for_room_are_counted() -> None:
    assert judged(sent=[[FULL, 1], [FULL, 2]]).full == 2


def test_a_store_with_something_in_it_is_found(tmp_path: Path) -> None:
    path = tmp_path / "a.store"
    assert look_at_store(path) == ["a.store does not exist"]
    create(path)
    assert look_at_store(path) == []
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("INSERT INTO messages (seq) VALUES (1), (2)")
        connection.execute("INSERT INTO dead (seq, grp) VALUES (3, 'audit')")
    assert look_at_store(path) == ["a.store has 2 rows in messages", "a.store has 1 rows in dead"]


@pytest.mark.parametrize("begin", [100, 4096], ids=["schema", "table"])
def test_a_damaged_store_is_found(tmp_path: Path, begin: int) -> None:
    path = tmp_path / "a.store"
    create(path)
    with path.open("r+b") as file:
        file.seek(begin)
        file.write(b"\xff" * 1000)
    (fault,) = look_at_store(path)
    assert "a.store is damaged" in fault


def test_errors_in_what_a_process_said_are_found(tmp_path: Path) -> None:
    output = tmp_path / "audit0.out"
    assert look_at_output(output) == []
    output.write_text("2026-01-01 00:00:00,000 WARNING the network is slow\n")
    assert look_at_output(output) == []
    output.write_text("Traceback (most recent call last):\n  …\nOSError: no\n")
    assert look_at_output(output) == [
        "audit0.out has 1 lines of errors, such as: Traceback (most recent call last):"
    ]


def test_a_message_is_as_it_was_made_or_has_no_label() -> None:
    for number in range(100):
        label = f"producer0.3.{number}"
        payload = make_payload(label)
        assert read_label(payload) == label
        assert read_label(payload + "x") is None
        assert read_label(payload[:-1]) is None
    assert read_label(b"bytes") is None


def test_a_torn_record_counts_for_nothing_and_spoils_no_other(tmp_path: Path) -> None:
    path = tmp_path / "a.records"
    Recorder(path).add(CONFIRMED, "id-1", "label.1")
    with path.open("ab") as file:
        file.write(b'["confirmed", 12, "id-2", "la')
    Recorder(path).add(CONFIRMED, "id-3", "label.3")
    assert [record[2] for record in read_records(path)] == ["id-1", "id-3"]


def test_a_follower_counts_what_is_added_once(tmp_path: Path) -> None:
    path = tmp_path / "a.records"
    follower = Follower(path)
    follower.read()
    assert follower.counts == {}
    recorder = Recorder(path)
    recorder.add(FULL)
    follower.read()
    recorder.add(FULL)
    with path.open("ab") as file:
        file.write(b'["full", ')
        file.flush()
        follower.read()
        file.write(b"12]\n")
    assert follower.counts == {FULL: 2}
    follower.read()
    follower.read()
    assert follower.counts == {FULL: 3}
    assert follower.last[FULL] == [FULL, 12]


def test_troubles_follow_from_the_seed_and_come_in_their_order() -> None:
    assert list(kills(7, 50, 100)) == list(kills(7, 50, 100)) != list(kills(8, 50, 100))
    assert list(cuts(7, 5, 100)) == list(cuts(7, 5, 100)) != list(cuts(8, 5, 100))
    assert all(0 <= one.at <= other.at <= 100 for one, other in pairwise(kills(7, 50, 100)))
    assert all(one.at <= other.at for one, other in pairwise(cuts(7, 5, 100)))


def test_who_cannot_cut_cables_is_told_what_can_be_done_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setattr("shutil.which", lambda command: None if command == "nft" else f"/bin/{command}")
    result = CliRunner().invoke(main, ["--messages", "1"])
    assert result.exit_code == 2
    assert "Error: cutting cables needs root, nft; use --cuts 0 to run without" in result.output
