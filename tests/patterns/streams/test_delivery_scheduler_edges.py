"""The delivery scheduler where two events meet: groups that come and go, restarts, time without consumers."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import cast

import pytest

from colugo.patterns.streams.gossip import StreamGossip
from colugo.patterns.streams.retention import AckPolicy
from colugo.protocol.advertisement import Advertisement, SocketKind
from colugo.protocol.streams.ranges import Range, RangeSet
from tests.support.scheduling import OwnTimeLoop, Producer, runtime_on


@pytest.fixture
def loop() -> Iterator[OwnTimeLoop]:
    loop = OwnTimeLoop()
    yield loop
    loop.close()


@pytest.mark.parametrize("quiet", [False, True])
def test_a_pause_that_ends_while_nobody_takes_messages_keeps_no_timer_busy(
    loop: OwnTimeLoop, *, quiet: bool
) -> None:
    producer = Producer(loop)
    group = producer.join("g", b"a")
    producer.send()
    producer.do(producer.scheduler.quiesce if quiet else lambda: None)
    producer.nack(group, b"a", 1, delay_ms=500)
    if not quiet:
        producer.leave(group, b"a")
    producer.pass_time(2)
    assert group.queue.next_due() is None
    timer = loop.next_timer()
    assert timer is None or timer > loop.now
    if not quiet:
        producer.join("g", b"b")
        assert producer.got == [(b"a", 1, False), (b"b", 1, True)]
    producer.end()


def test_what_is_dropped_for_groups_that_are_away_is_not_written_for_each_of_them(loop: OwnTimeLoop) -> None:
    producer = Producer(loop, max_messages=3, full="drop-oldest")
    for name in ("g", "h"):
        producer.leave(producer.join(name, name.encode()), name.encode())
    producer.transactions.clear()
    producer.send(5)
    assert producer.scheduler.dropped == 2
    assert all(not transaction.groups for transaction in producer.transactions)
    producer = producer.restarted()
    group = producer.join("g", b"a")
    assert [seq for _, seq, _ in producer.got] == [3, 4, 5]
    producer.acknowledge(group, 3, 5)
    assert group.done.floor == 5
    producer.end()


def test_an_acknowledgement_costs_the_same_however_many_groups_have_acknowledged_the_message(
    loop: OwnTimeLoop,
) -> None:
    producer = Producer(loop)
    groups = [producer.join(f"g{number}", b"%d" % number) for number in range(40)]
    producer.send()
    looks = 0

    class Counted(RangeSet):
        __slots__ = ()

        def overlap(self, first: int, last: int) -> list[Range]:
            nonlocal looks
            looks += 1
            return super().overlap(first, last)

    for group in groups:
        group.done = Counted(group.done)
    for group in groups:
        producer.acknowledge(group, 1, 1)
    assert looks < 3 * len(groups)
    producer.end()


def test_a_group_that_becomes_durable_by_what_another_stream_says_does_not_end(loop: OwnTimeLoop) -> None:
    producer = Producer(loop)
    producer.join("other", b"o")
    group = producer.join("g", b"a", durable=False)
    producer.leave(group, b"a", lost=True)
    producer.do(lambda: producer.scheduler.groups.renew(group, ("#",), group.changed_ms + 1))
    producer.pass_time(11)
    assert producer.scheduler.groups.known["g"] is group
    assert producer.disk._groups["g"].durable
    producer.end()


@pytest.mark.parametrize("present", [False, True])
def test_a_group_is_durable_as_soon_as_another_stream_says_so_however_old_that_word_is(
    loop: OwnTimeLoop, *, present: bool
) -> None:
    producer = Producer(loop)
    advertisement = SimpleNamespace(kind=SocketKind.STREAM, socket_id=b"12345678")
    gossip = StreamGossip(
        runtime_on(loop), "jobs", cast("Advertisement", advertisement), producer.scheduler.groups
    )
    producer.join("other", b"o")
    group = producer.join("g", b"a", ("x",), durable=False)
    if not present:
        producer.leave(group, b"a", lost=True)
    news = [{"name": "g", "bindings": ["y"], "forgotten": False, "changed_ms": 1}]
    producer.do(lambda: gossip.merge(news))
    if present:
        producer.leave(group, b"a", lost=False)
    producer.pass_time(11)
    assert producer.scheduler.groups.known["g"].bindings.patterns == ("x",)
    producer.send(key="x")
    producer.acknowledge(producer.scheduler.groups.known["other"], 1, 1)
    assert list(producer.disk._messages) == [1]
    producer.end()


def test_a_message_that_a_group_did_not_want_for_a_while_keeps_its_tries_also_after_a_restart(
    loop: OwnTimeLoop,
) -> None:
    producer = Producer(loop, ack="any")
    producer.join("g", b"a", ("x",))
    producer.send(key="x")
    producer = producer.restarted()
    group = producer.join("g", b"b", ("x",))
    assert producer.got == [(b"b", 1, True)]
    producer.do(lambda: producer.scheduler.groups.rejoin(group, b"b", 10, ("y",), [1]))
    producer.nack(group, b"b", 1)
    assert not group.queue.messages
    producer.do(lambda: producer.scheduler.groups.rejoin(group, b"b", 10, ("x",), []))
    assert producer.got == [(b"b", 1, True)] * 2
    producer.nack(group, b"b", 1)
    assert producer.scheduler.intake.dead == 1
    assert group.attempts == {}
    producer.end()


def test_a_group_that_takes_the_place_of_a_forgotten_one_has_been_offered_nothing(loop: OwnTimeLoop) -> None:
    producer = Producer(loop)
    group = producer.join("g", b"a")
    producer.held = True
    producer.send(3)
    producer.leave(group, b"a")
    producer.do(lambda: producer.scheduler.groups.forget("g"))
    group = producer.join("g", b"b")
    producer.let_go()
    assert [seq for _, seq, _ in producer.got] == [1, 2, 3]
    assert producer.disk._groups["g"].offered == 3
    producer.end()


@pytest.mark.parametrize("ack", ["all", "any"])
def test_what_a_group_without_members_has_not_been_handed_takes_no_memory(
    loop: OwnTimeLoop, ack: AckPolicy
) -> None:
    producer = Producer(loop, ack=ack)
    group = producer.join("g", b"a")
    producer.send(30, payload=b"large" * 100, key="k")
    assert (len(producer.got), len(group.queue.messages)) == (10, 30)
    producer.leave(group, b"a")
    producer.send(5)
    assert sorted(group.queue.messages) == list(range(1, 11))
    assert group.queue.size == 10 * 500
    assert not group.queue._ready
    assert not any(one.waiting for one in group.queue._keys._queues.values())
    producer.join("g", b"b")
    for _ in range(35):
        seqs = [seq for who, seq, _ in producer.got if who == b"b"]
        if seqs:
            producer.acknowledge(group, min(seqs), max(seqs))
    assert producer.got[10:] == [(b"b", seq, seq <= 10) for seq in range(1, 36)]
    assert producer.scheduler.intake.empty
    producer.end()


# --- restarts


def test_bindings_of_before_are_for_no_numbers_that_have_been_forgotten(loop: OwnTimeLoop) -> None:
    producer = Producer(loop)
    group = producer.join("g", b"a", ("x",))
    producer.send(key="x")
    producer.failing = True
    producer.send(5, key="x")  # these are never stored, and their numbers are used again
    producer.do(lambda: producer.scheduler.groups.rejoin(group, b"a", 10, ("y",), [1]))
    producer.failing = False
    producer.do(producer.store.step)
    producer.held = True
    producer.pass_time(1.1)
    while producer.disk._groups["g"].bindings != ("y",):
        producer.do(producer.store.step)
    assert list(producer.disk._messages) == [1]
    producer = producer.restarted()
    group = producer.join("g", b"b", ("y",))
    producer.send(2, key="y")
    assert producer.got == [(b"b", 1, True), (b"b", 2, False), (b"b", 3, False)]
    producer.end()
