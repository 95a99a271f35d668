"""The delivery scheduler with a slow or failing store, when groups go, and after a restart, by example."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from colugo.errors import ClosedError, StoreError, StreamFullError
from colugo.protocol.streams.attempts import GroupMember, QueuedMessage
from colugo.protocol.streams.settlements import Settlement, SettlementOutcome
from colugo.protocol.streams.stream_message import StreamMessage
from colugo.store import GroupRecord, Store, StoredDeadLetter, Transaction
from colugo.store.sqlite.sqlite_store import SqliteStore
from tests.support.scheduling import Disk, OwnTimeLoop, Producer


@pytest.fixture
def loop() -> Iterator[OwnTimeLoop]:
    loop = OwnTimeLoop()
    yield loop
    loop.close()


def letter(seq: int, group: str, payload: bytes = b"x") -> StoredDeadLetter:
    return StoredDeadLetter(StreamMessage(seq, "", b"", payload, 0, 0), group, 2, "reason", "", 0)


# --- who is served first


def test_consumers_are_served_before_senders_wake_and_between_some_of_them_and_others(
    loop: OwnTimeLoop,
) -> None:
    producer = Producer(loop)
    group = producer.join("g", b"a")
    writer, intake = producer.scheduler.writer, producer.scheduler.intake
    waiting: list[Any] = []
    served: list[tuple[int, int]] = []

    def deliver(member: GroupMember, entries: list[QueuedMessage]) -> None:
        served.append((entries[0].message.seq, sum(one.done() for one in waiting)))
        last = entries[-1].message.seq
        loop.call_soon(producer.scheduler.acknowledge, group, [(entries[0].message.seq, last)])

    producer.deliver = deliver  # type: ignore[method-assign]

    def send() -> None:
        waiting.extend(writer.written(intake.add("", b"", b"x", 0)) for _ in range(1000))
        producer.scheduler.wake()

    producer.do(send)
    loop.turns(20)
    assert all(one.done() and one.exception() is None for one in waiting)
    assert served[0] == (1, 0)
    assert len({woken for _, woken in served if 0 < woken < 1000}) >= 2
    loop.turns(500)
    producer.settle()
    assert group.acknowledged == 1000
    assert intake.empty
    producer.end()


def test_senders_whose_messages_are_written_are_told_so_though_the_stream_is_closed(
    loop: OwnTimeLoop,
) -> None:
    producer = Producer(loop)
    writer, intake = producer.scheduler.writer, producer.scheduler.intake
    waiting: list[Any] = []

    def send() -> None:
        waiting.extend(writer.written(intake.add("", b"", b"x", 0)) for _ in range(1000))
        producer.scheduler.wake()

    async def write_and_close() -> None:
        producer.store.step()
        assert 0 < sum(one.done() for one in waiting) < 1000
        producer.scheduler.close(ClosedError("the test is over"))

    producer.held = True
    producer.do(send)
    loop.do(write_and_close())
    assert all(one.done() and one.exception() is None for one in waiting)
    assert len(producer.disk._messages) == 1000


# --- acknowledgements and the store


def busy_producer(loop: OwnTimeLoop, **limits: Any) -> Producer:
    """One whose last transaction has taken two milliseconds: of six messages that a member has."""
    producer = Producer(loop, **limits)
    producer.join("g", b"a")
    producer.held = True
    producer.send(6)
    loop.now += 0.002
    producer.let_go()
    assert [seq for _, seq, _ in producer.got] == [1, 2, 3, 4, 5, 6]
    return producer


@pytest.fixture
def busy(loop: OwnTimeLoop) -> Producer:
    return busy_producer(loop)


def test_acknowledgements_that_come_after_a_transaction_are_written_with_the_next_messages(
    busy: Producer,
) -> None:
    group = busy.scheduler.groups.known["g"]
    before = len(busy.transactions)
    busy.acknowledge(group, 1, 1)
    busy.acknowledge(group, 2, 2)
    assert len(busy.transactions) == before
    busy.send()
    assert len(busy.transactions) == before + 1
    assert list(busy.disk._messages) == [3, 4, 5, 6, 7]
    busy.end()


def test_acknowledgements_wait_no_longer_than_twice_what_a_transaction_took(busy: Producer) -> None:
    group = busy.scheduler.groups.known["g"]
    busy.acknowledge(group, 1, 3)
    busy.loop.now += 0.0039
    busy.settle()
    assert len(busy.disk._messages) == 6
    busy.loop.now += 0.0002
    busy.settle()
    assert list(busy.disk._messages) == [4, 5, 6]
    busy.end()


def test_acknowledgements_wait_no_longer_than_a_hundredth_of_a_second(loop: OwnTimeLoop) -> None:
    producer = Producer(loop)
    group = producer.join("g", b"a")
    producer.held = True
    producer.send(2)
    loop.now += 5.0
    producer.let_go()
    producer.acknowledge(group, 1, 1)
    assert list(producer.disk._messages) == [1, 2]
    loop.now += 0.0101
    producer.settle()
    assert list(producer.disk._messages) == [2]
    producer.end()


def test_acknowledgements_do_not_wait_when_there_is_no_room_without_them(loop: OwnTimeLoop) -> None:
    busy = busy_producer(loop, max_messages=6)
    group = busy.scheduler.groups.known["g"]
    busy.acknowledge(group, 1, 2)
    with pytest.raises(StreamFullError):
        busy.send()
    busy.acknowledge(group, 3, 3)
    assert list(busy.disk._messages) == [4, 5, 6]
    busy.end()


@pytest.mark.parametrize("first", ["drained", "acknowledged"])
def test_the_last_acknowledgement_does_not_wait_if_somebody_waits_for_it(busy: Producer, first: str) -> None:
    group = busy.scheduler.groups.known["g"]
    tasks: list[Any] = []

    def wait() -> None:
        tasks.append(busy.loop.create_task(busy.scheduler.writer.drained()))

    busy.acknowledge(group, 1, 5)
    if first == "drained":
        busy.do(wait)
        assert len(busy.disk._messages) == 6
        busy.acknowledge(group, 6, 6)
    else:
        busy.acknowledge(group, 6, 6)
        assert len(busy.disk._messages) == 6
        busy.do(wait)
    assert tasks[0].done()
    assert not busy.disk._messages
    busy.end()


def test_what_else_there_is_to_write_takes_acknowledgements_with_it(busy: Producer) -> None:
    group = busy.scheduler.groups.known["g"]
    busy.acknowledge(group, 1, 1)
    assert len(busy.disk._messages) == 6
    busy.nack(group, b"a", 2)
    assert list(busy.disk._messages) == [2, 3, 4, 5, 6]
    assert busy.disk._attempts == {("g", 2): 2}
    busy.end()


def test_acknowledgements_that_wait_are_written_when_a_stream_ends(busy: Producer) -> None:
    busy.acknowledge(busy.scheduler.groups.known["g"], 1, 5)
    busy.loop.create_task(busy.scheduler.finish(0.0))
    busy.settle()
    assert list(busy.disk._messages) == [6]
    busy.end()


def test_a_producer_that_is_killed_redelivers_what_it_has_not_written_of_them(busy: Producer) -> None:
    busy.acknowledge(busy.scheduler.groups.known["g"], 1, 4)
    again = busy.restarted()
    again.join("g", b"b")
    assert again.got == [(b"b", seq, True) for seq in range(1, 7)]
    again.end()


# --- second tries


def test_a_second_try_is_handed_out_when_it_has_been_written(loop: OwnTimeLoop) -> None:
    producer = Producer(loop)
    group = producer.join("g", b"a")
    producer.send()
    producer.held = True
    producer.nack(group, b"a", 1)
    assert producer.got == [(b"a", 1, False)]
    producer.let_go()
    assert producer.got == [(b"a", 1, False), (b"a", 1, True)]
    assert producer.disk._attempts == {("g", 1): 2}
    producer.end()


def test_what_is_acknowledged_while_its_second_try_is_written_is_not_handed_out(loop: OwnTimeLoop) -> None:
    producer = Producer(loop)
    group = producer.join("g", b"a")
    producer.send()
    producer.held = True
    producer.nack(group, b"a", 1)
    producer.acknowledge(group, 1, 1)
    producer.let_go()
    assert producer.got == [(b"a", 1, False)]
    assert producer.scheduler.intake.empty
    producer.end()


def test_a_try_that_waits_for_the_store_does_not_count_when_its_consumer_is_lost(loop: OwnTimeLoop) -> None:
    producer = Producer(loop)
    group = producer.join("g", b"a")
    producer.send()
    producer.leave(group, b"a")
    producer.held = True
    producer.join("g", b"b")
    producer.leave(group, b"b")
    producer.let_go()
    producer.join("g", b"c")
    assert producer.got == [(b"a", 1, False), (b"c", 1, True)]
    assert producer.scheduler.intake.dead == 0
    producer.end()


def test_no_time_passes_for_a_try_that_waits_for_the_store(loop: OwnTimeLoop) -> None:
    producer = Producer(loop)
    group = producer.join("g", b"a")
    producer.send()
    producer.leave(group, b"a")
    producer.failing = True
    producer.join("g", b"b")
    producer.pass_time(100)
    producer.let_go()
    producer.pass_time(29)
    assert producer.got == [(b"a", 1, False), (b"b", 1, True)]
    producer.pass_time(3)
    assert producer.scheduler.intake.dead == 1
    producer.end()


def test_a_consumer_that_was_silent_gets_messages_again_as_soon_as_it_says_something(
    loop: OwnTimeLoop,
) -> None:
    producer = Producer(loop)
    group = producer.join("g", b"a")
    producer.send()
    producer.pass_time(31)
    assert producer.got == [(b"a", 1, False)]
    producer.do(lambda: producer.scheduler.mark_alive(group, b"a"))
    assert producer.got == [(b"a", 1, False), (b"a", 1, True)]
    producer.end()


@pytest.mark.parametrize("end", ["acknowledged", "dead", "forgotten"])
def test_tries_are_forgotten_with_their_end_though_another_group_waits_for_the_message(
    loop: OwnTimeLoop, end: str
) -> None:
    producer = Producer(loop)
    group = producer.join("g", b"a")
    producer.join("other", b"o")
    producer.send()
    producer.nack(group, b"a", 1)
    assert producer.disk._attempts == {("g", 1): 2}
    if end == "acknowledged":
        producer.acknowledge(group, 1, 1)
    elif end == "dead":
        producer.nack(group, b"a", 1)
    else:
        producer.leave(group, b"a")
        producer.do(lambda: producer.scheduler.groups.forget("g"))
    assert list(producer.disk._messages) == [1]
    assert producer.disk._attempts == {}
    producer.end()


# --- a store that fails


def test_a_store_that_fails_is_tried_again_once_a_second_whatever_comes_up(loop: OwnTimeLoop) -> None:
    producer = Producer(loop)
    group = producer.join("g", b"a")
    producer.send(50)
    producer.failing = True
    producer.attempts = 0
    for seq in range(1, 51):
        producer.acknowledge(group, seq, seq)
        producer.pass_time(0.2)
    assert 5 <= producer.attempts <= 12
    producer.failing = False
    producer.pass_time(1.1)
    assert producer.scheduler.intake.empty
    assert producer.scheduler.intake.error is None
    producer.end()


def test_when_a_message_could_not_be_stored_the_next_one_can(loop: OwnTimeLoop) -> None:
    producer = Producer(loop)
    producer.failing = True
    waiting: list[Any] = []

    def send() -> None:
        waiting.append(producer.scheduler.writer.written(producer.scheduler.intake.add("", b"", b"x", 0)))
        producer.scheduler.wake()

    producer.do(send)
    assert isinstance(waiting[0].exception(), StoreError)
    with pytest.raises(StoreError, match="no room"):
        producer.send()
    producer.failing = False
    producer.pass_time(1.1)
    producer.do(send)
    assert waiting[1].exception() is None
    assert list(producer.disk._messages) == [2]
    producer.end()


def test_what_was_not_waited_for_is_written_when_the_store_can_be_written_to(loop: OwnTimeLoop) -> None:
    producer = Producer(loop)
    group = producer.join("g", b"a")
    producer.failing = True
    producer.send(3)
    assert producer.got == []
    producer.failing = False
    producer.pass_time(1.1)
    assert [seq for _, seq, _ in producer.got] == [1, 2, 3]
    producer.acknowledge(group, 1, 3)
    assert producer.scheduler.intake.empty
    producer.end()


def test_a_dead_letter_goes_with_the_message_that_takes_its_place_or_not_at_all(loop: OwnTimeLoop) -> None:
    producer = Producer(loop)
    group = producer.join("g", b"a")
    producer.send()
    producer.nack(group, b"a", 1)
    producer.nack(group, b"a", 1)
    assert list(producer.disk._dead) == [(1, "g")]
    producer.held = True
    producer.send()

    def resurrect() -> None:
        producer.scheduler.intake.add("", b"", b"x", 0, replaces=("g", 1))
        producer.scheduler.wake()

    producer.do(resurrect)
    producer.do(lambda: producer.store.step(fail=True))
    producer.let_go()
    assert list(producer.disk._dead) == [(1, "g")] or 3 in producer.disk._messages
    producer.failing = False
    producer.pass_time(1.1)
    assert [seq for _, seq, _ in producer.got] == [1, 1, 2, 3]
    assert producer.disk._dead == {}
    producer.end()


def test_everything_of_a_transaction_that_failed_is_written_later(loop: OwnTimeLoop) -> None:
    producer = Producer(loop)
    group, passing = producer.join("g", b"a"), producer.join("passing", b"p", durable=False)
    producer.send(3)
    producer.nack(group, b"a", 2)
    assert producer.disk._attempts == {("g", 2): 2}
    producer.failing = True

    def much() -> None:
        producer.scheduler.groups.leave(passing, b"p", "left", lost=False)
        for seq in (1, 2):
            producer.scheduler.nack(group, b"a", Settlement(seq, SettlementOutcome.NACK, 0))

    producer.do(much)
    producer.pass_time(3)
    assert producer.scheduler.intake.error is not None
    assert (sorted(producer.disk._groups), producer.disk._dead) == (["g", "passing"], {})
    producer.failing = False
    producer.pass_time(1.1)
    assert producer.disk._attempts == {("g", 1): 2}
    assert list(producer.disk._dead) == [(2, "g")]
    assert list(producer.disk._groups) == ["g"]
    producer = producer.restarted()
    group = producer.join("g", b"b")
    assert producer.got == [(b"b", 1, True)]  # its tries are used up: it comes by itself
    producer.acknowledge(group, 1, 1)
    assert producer.got[1:] == [(b"b", 3, True)]
    producer.end()


def test_the_number_of_a_message_that_could_not_be_stored_holds_nothing_up(loop: OwnTimeLoop) -> None:
    producer = Producer(loop)
    group = producer.join("g", b"a")
    producer.failing = True

    def send() -> None:
        number = producer.scheduler.intake.add("", b"", b"x", 0)
        producer.scheduler.writer.written(number).add_done_callback(lambda future: future.exception())
        producer.scheduler.wake()

    producer.do(send)
    producer.failing = False
    producer.pass_time(1.1)
    producer.send()
    assert producer.got == [(b"a", 2, False)]
    producer.acknowledge(group, 2, 2)
    assert group.done.floor == 2
    producer.end()


# --- restarts


def test_after_a_restart_what_was_acknowledged_does_not_come_again_and_the_rest_is_flagged(
    loop: OwnTimeLoop,
) -> None:
    producer = Producer(loop)
    group = producer.join("g", b"a")
    producer.join("other", b"o")
    producer.send(3)
    producer.acknowledge(group, 2, 2)
    producer = producer.restarted()
    producer.send()
    producer.join("g", b"b")
    assert sorted(producer.got) == [(b"b", 1, True), (b"b", 3, True), (b"b", 4, False)]
    producer.end()


# --- groups that go


def test_the_record_of_a_group_that_is_not_durable_goes_with_it(loop: OwnTimeLoop) -> None:
    producer = Producer(loop)
    group = producer.join("passing", b"a", durable=False)
    assert list(producer.disk._groups) == ["passing"]
    producer.leave(group, b"a", lost=False)
    assert producer.disk._groups == {}
    producer.end()


@pytest.mark.parametrize("restart", [False, True])
def test_a_group_that_is_not_durable_has_time_to_come_back_also_after_a_restart(
    loop: OwnTimeLoop, *, restart: bool
) -> None:
    producer = Producer(loop)
    producer.join("g", b"a")
    passing = producer.join("passing", b"b", durable=False)
    producer.send()
    if restart:
        producer = producer.restarted()
    else:
        producer.leave(passing, b"b")
    producer.pass_time(9)
    assert "passing" in producer.scheduler.groups.known
    producer.pass_time(2)
    assert list(producer.scheduler.groups.known) == ["g"]
    assert list(producer.disk._groups) == ["g"]
    producer.end()


def test_a_group_that_ends_while_messages_are_read_for_it_is_not_written_down_again(
    loop: OwnTimeLoop,
) -> None:
    producer = Producer(loop)
    producer.send(3, key="y")
    producer.held = True
    group = producer.join("passing", b"a", ("x",), durable=False)
    producer.do(producer.store.step)
    producer.do(producer.store.step)
    producer.leave(group, b"a", lost=False)
    producer.let_go()
    assert producer.disk._groups == {}
    producer.end()


def test_with_ack_any_what_nobody_has_wanted_yet_outlives_a_group_that_is_forgotten(
    loop: OwnTimeLoop,
) -> None:
    producer = Producer(loop, ack="any")
    producer.join("g", b"g", ("x",))
    h = producer.join("h", b"h", ("x",))
    producer.send(key="y")
    producer.leave(h, b"h")
    producer.do(lambda: producer.scheduler.groups.forget("h"))
    assert list(producer.disk._messages) == [1]
    producer.join("all", b"c")
    assert producer.got == [(b"c", 1, False)]
    producer.end()


def test_with_ack_any_no_tries_are_kept_of_what_another_group_has_handled(loop: OwnTimeLoop) -> None:
    producer = Producer(loop, ack="any")
    g, h = producer.join("g", b"a"), producer.join("h", b"b")
    producer.send()
    producer.acknowledge(g, 1, 1)
    producer.nack(h, b"b", 1)
    assert producer.got[-1] == (b"b", 1, True)
    assert (producer.disk._messages, producer.disk._attempts) == ({}, {})
    producer.end()


def test_a_group_that_is_forgotten_and_known_again_may_give_up_a_message_twice(loop: OwnTimeLoop) -> None:
    producer = Producer(loop)
    producer.join("other", b"o", ("none",))
    keeps = producer.join("keeps", b"k")
    for identity in (b"a", b"b"):
        group = producer.join("g", identity)
        if identity == b"a":
            producer.send()
        producer.nack(group, identity, 1)
        producer.nack(group, identity, 1)
        producer.leave(group, identity)
        producer.do(lambda: producer.scheduler.groups.forget("g"))
    assert producer.scheduler.intake.error is None
    assert list(producer.disk._dead) == [(1, "g")]
    producer.acknowledge(keeps, 1, 1)
    assert producer.scheduler.intake.empty
    producer.end()


# --- limits


def test_max_bytes_counts_keys_headers_and_what_is_being_written(loop: OwnTimeLoop) -> None:
    producer = Producer(loop, max_bytes=100)
    producer.held = True
    producer.send(4, b"x" * 10, key="k" * 10)
    with pytest.raises(StreamFullError):
        producer.send(1, b"x" * 20, key="k")
    producer.send(1, b"x" * 20)
    producer.let_go()
    assert producer.scheduler.intake.size == 100
    producer.end()


def test_what_is_dropped_to_make_room_is_not_handed_out_any_more(loop: OwnTimeLoop) -> None:
    producer = Producer(loop, max_messages=2, full="drop-oldest")
    group = producer.do(lambda: producer.scheduler.groups.join("g", b"a", 1, ("#",), durable=True))
    producer.send(2)
    producer.send(2)
    assert (producer.got, list(producer.disk._messages)) == ([(b"a", 1, False), (b"a", 3, False)], [3, 4])
    producer.acknowledge(group, 1, 3)
    assert producer.scheduler.unknown == 2
    assert producer.got[-1] == (b"a", 4, False)
    producer.acknowledge(group, 4, 4)
    assert producer.scheduler.intake.empty
    producer.end()


# --- the store


@pytest.mark.parametrize("kind", ["memory", "file"])
def test_a_later_dead_letter_takes_the_place_of_an_earlier_one(kind: str, tmp_path: Path) -> None:
    store: Store = (
        Disk() if kind == "memory" else SqliteStore(tmp_path / "s.db", logger=logging.getLogger("x"))
    )
    store.open()
    outcomes: list[Any] = []
    store.commit(Transaction(dead=[letter(1, "g", b"1234")]), outcomes.append)
    store.commit(Transaction(dead=[letter(1, "g", b"12")]), outcomes.append)
    store.commit(Transaction(undead=[("g", 1)]), outcomes.append)
    assert [(one.dead, one.size) for one in outcomes] == [(1, 4), (1, 2), (0, 0)]
    store.close()


@pytest.mark.parametrize("kind", ["memory", "file"])
def test_records_of_groups_go_and_may_come_again_in_one_transaction(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    disk = Disk()

    def opened() -> Any:
        return disk if kind == "memory" else SqliteStore(path, logger=logging.getLogger("x"))

    store = opened()
    store.open()
    records = {name: GroupRecord(name) for name in ("a", "b")}
    store.commit(Transaction(groups=records), lambda outcome: None)
    store.commit(
        Transaction(gone=["a", "b"], groups={"b": GroupRecord("b", offered=7)}), lambda outcome: None
    )
    store.close()
    store = opened()
    assert [(record.name, record.offered) for record in store.open().groups] == [("b", 7)]
    store.close()
