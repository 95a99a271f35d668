"""What a keeper does where two things meet: groups that come and go, restarts, time passing for nobody."""

from collections.abc import Iterator

import pytest

from colugo.protocol.ranges import Range, RangeSet
from tests.keeping import OwnTimeLoop, Producer


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
    producer.do(producer.keeper.quiesce if quiet else lambda: None)
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
    assert producer.keeper.dropped == 2
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
