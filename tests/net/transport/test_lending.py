"""Large buffers go to ZeroMQ without a copy, within bounds."""

from collections.abc import Iterator
from typing import Any

import pytest
import zmq

from colugo.net.transport.lending import Lending
from tests.support.essentials import wait_until

KIB = 1024
LARGE = 200 * KIB


@pytest.fixture
def pair() -> Iterator[tuple[Any, Any]]:
    """Two joined sockets; sent messages wait until they are read."""
    context = zmq.Context()
    here, there = context.socket(zmq.PAIR), context.socket(zmq.PAIR)
    here.bind("inproc://pair")
    there.connect("inproc://pair")
    yield here, there
    context.destroy(linger=0)


def test_so_much_is_lent_as_is_allowed_and_the_rest_is_copied(pair: tuple[Any, Any]) -> None:
    here, there = pair
    lending = Lending(500 * KIB)
    buffers = [bytearray([number]) * LARGE for number in range(4)]
    for buffer in buffers:
        lending.send(here, buffer)
    for buffer in buffers:
        buffer[:] = b"x" * LARGE
    got = [there.recv() for _ in buffers]
    # what is changed too early shows whose memory ZeroMQ has read: the first two are lent
    assert [one[:1] for one in got] == [b"x", b"x", b"\x02", b"\x03"]


def test_what_has_left_can_be_lent_again(pair: tuple[Any, Any]) -> None:
    here, there = pair
    lending = Lending(500 * KIB)
    for _ in range(10):
        for _ in range(2):
            lending.send(here, bytes(LARGE))
        assert [len(there.recv()) for _ in range(2)] == [LARGE, LARGE]
        assert wait_until(lambda: all(tracker.done for tracker, _ in lending._lent))


def test_one_buffer_that_is_larger_than_all_that_may_be_lent_is_lent_alone(pair: tuple[Any, Any]) -> None:
    here, there = pair
    lending = Lending(1)
    first, second = bytearray(LARGE), bytearray(LARGE)
    lending.send(here, first)
    lending.send(here, second)
    first[:1] = second[:1] = b"x"
    assert [there.recv()[:1] for _ in range(2)] == [b"x", b"\x00"]


def test_small_buffers_are_copied(pair: tuple[Any, Any]) -> None:
    here, there = pair
    buffer = bytearray(100 * KIB)
    Lending(500 * KIB).send(here, buffer)
    buffer[:1] = b"x"
    assert there.recv()[:1] == b"\x00"
