"""What a keeper does where two things meet: groups that come and go, restarts, time passing for nobody."""

from collections.abc import Iterator

import pytest

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
