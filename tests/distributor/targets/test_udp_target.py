"""UDP targets: a datagram for each message, and what UDP reports."""

import logging
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest

from colugo.distributor import UdpTarget
from colugo.distributor.threaded_target import pool_of
from tests.support.essentials import free_port, seconds, wait_until
from tests.support.leftovers import nothing_left


class Target(UdpTarget):
    """Keeps its errors."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.errors: list[BaseException] = []

    def on_error(self, exception: BaseException) -> None:
        self.errors.append(exception)


@contextmanager
def receiver(host: str = "127.0.0.1", port: int = 0) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as made:
        made.bind((host, port))
        made.settimeout(seconds(5))
        yield made


@pytest.mark.parametrize(
    ("name", "bound"), [("127.0.0.1", "127.0.0.1"), ("::1", "::1"), ("localhost", "127.0.0.1")]
)
def test_each_message_is_one_datagram(name: str, bound: str) -> None:
    with nothing_left(), receiver(bound) as received:
        target = UdpTarget(name, received.getsockname()[1])
        target.open()
        for message in ("a", "ü\n", b"\xff", 7):
            target.on_message(message)
        target.close()
        assert [received.recv(100) for _ in range(4)] == [b"a", "ü\n".encode(), b"\xff", b"7"]


def test_a_message_that_is_too_long_is_an_error_and_not_tried_again() -> None:
    with receiver() as received:
        with closing(Target("127.0.0.1", received.getsockname()[1], terminator="\n")) as target:
            target.on_message("x" * 10_000_000)
            target.on_message("next")
            assert received.recv(100) == b"next\n"
        assert [str(error) for error in target.errors] == ["a message of 10000001 bytes is too long for UDP"]
        assert isinstance(target.errors[0], ValueError)
        assert pool_of(target).stats.retried == 0


def test_a_refusal_is_counted_and_logged_once_and_the_next_datagram_is_sent(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    port = free_port()
    with closing(Target("127.0.0.1", port)) as target:
        target.on_message("nobody hears it")
        assert wait_until(lambda: pool_of(target).stats.completed == 1)
        with receiver(port=port) as received:  # the error of the first is reported now
            target.on_message("heard")
            assert received.recv(100) == b"heard"
        assert target.refused == 1
        for number in range(3):
            target.on_message("nobody")
            assert wait_until(lambda: pool_of(target).stats.completed == 3 + number)  # noqa: B023
    assert not target.errors
    assert target.refused == 3
    assert len([line for line in caplog.messages if "has refused a datagram" in line]) == 1
