"""TCP targets: order, lost connections and what they took, and stops."""

import logging
import socket
import threading
import time
from contextlib import closing
from typing import Any

import pytest

from colugo.distributor.targets import tcp_target
from colugo.distributor.targets.graphite_target import GraphiteTarget
from colugo.distributor.targets.socket_target import SocketTarget
from colugo.distributor.targets.tcp_connection import TcpConnection
from colugo.distributor.targets.tcp_target import TcpTarget
from colugo.distributor.threaded_target import pool_of
from colugo.errors import ConnectionNotDefined
from tests.support.essentials import free_port, seconds, wait_until
from tests.support.leftovers import nothing_left
from tests.support.line_server import LineServer, read_all

LINES = [f"line {number}" for number in range(5000)]


def read_some(server: LineServer, connection: socket.socket, count: int) -> None:
    """Keep so many lines, and read nothing behind them."""
    while count and (ahead := connection.recv(65_536, socket.MSG_PEEK)):
        for line in ahead.split(b"\n")[:-1][:count]:
            connection.recv(len(line) + 1)
            server.lines.append(line.decode())
            count -= 1


def closes_in_order(server: LineServer, connection: socket.socket) -> None:
    """Announce the end after 100 lines, and read on until the client has closed, too."""
    read_some(server, connection, 100)
    connection.shutdown(socket.SHUT_WR)
    read_all(server, connection)


def closes_at_once(server: LineServer, connection: socket.socket) -> None:
    """Close after 100 lines. Those that wait to be read are lost with a reset."""
    read_some(server, connection, 100)


@pytest.mark.parametrize("target_class", [SocketTarget, TcpTarget, GraphiteTarget])
def test_lines_arrive_in_order(target_class: type[SocketTarget]) -> None:
    with nothing_left(), LineServer() as server:
        target = target_class("127.0.0.1", server.port)
        target.terminator = "\n"
        target.open()
        for line in LINES:
            target.on_message(line)
        target.on_message(b"bytes")
        target.close()
        assert server.wait_for(len(LINES) + 1) == [*LINES, "bytes"]
        assert server.connections == 1


def test_messages_wait_for_a_server_that_is_not_there_yet(caplog: pytest.LogCaptureFixture) -> None:
    port = free_port()
    with closing(TcpTarget("127.0.0.1", port, terminator="\n")) as target:
        target.open()
        assert f"cannot connect to 127.0.0.1:{port}" in caplog.text
        for line in LINES[:10]:
            target.on_message(line)
        assert wait_until(lambda: pool_of(target).stats.retried)
        with LineServer(port=port) as server:
            assert server.wait_for(10) == LINES[:10]


def test_a_peer_that_closes_in_order_every_100_lines_gets_each_line_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    with LineServer(closes_in_order) as server:
        with closing(TcpTarget("127.0.0.1", server.port, terminator="\n")) as target:
            for number, line in enumerate(LINES, 1):
                target.on_message(line)
                if number % 130 == 0:  # else one connection might take all of them
                    server.wait_for(number)
        assert sorted(server.wait_for(len(LINES))) == sorted(LINES)
        assert server.connections > 30
        assert target.unconfirmed == 0
    assert f"127.0.0.1:{server.port} has closed the connection" in caplog.text


def test_after_resets_no_more_lines_are_missing_than_the_target_reports() -> None:
    with LineServer(closes_at_once) as server:
        with closing(TcpTarget("127.0.0.1", server.port, terminator="\n")) as target:
            for line in LINES:
                target.on_message(line)
                wait_until(lambda: pool_of(target).stats.queued < 100)
        received = set(server.lines)
        missing = len(LINES) - len(received)
        print(f"{missing} missing, {target.unconfirmed} unconfirmed, {target.sent_again} sent again")
        assert received <= set(LINES)
        assert missing <= target.unconfirmed


def test_a_line_that_was_sent_into_a_closed_connection_follows_without_another_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    end = TcpConnection.end
    unseen = [1]

    def overlooks_once(connection: TcpConnection) -> str | None:
        return None if unseen and unseen.pop() else end(connection)

    def reads_one(server: LineServer, connection: socket.socket) -> None:
        read_some(server, connection, 1)

    with (
        LineServer(reads_one) as server,
        closing(TcpTarget("127.0.0.1", server.port, terminator="\n")) as target,
    ):
        target.on_message("first")
        server.wait_for(1)
        assert target._connection is not None
        assert target._connection._socket.recv(1, socket.MSG_PEEK) == b""
        monkeypatch.setattr(TcpConnection, "end", overlooks_once)
        target.on_message("second")
        assert server.wait_for(2) == ["first", "second"]
        assert wait_until(lambda: target.sent_again == 1)
        assert target.unconfirmed == 0


def test_a_line_of_which_a_part_was_sent_is_sent_again_as_a_whole() -> None:
    long = "x" * 8_000_000
    closed = threading.Event()

    def closes_the_first(server: LineServer, connection: socket.socket) -> None:
        if not closed.is_set():
            connection.recv(1000)
            closed.set()
            return
        read_all(server, connection)

    with LineServer(closes_the_first, receive_bytes=4096) as server:
        with closing(TcpTarget("127.0.0.1", server.port, terminator="\n")) as target:
            target.on_message(long)
            target.on_message("next")
            lines = server.wait_for(2)
        assert [len(line) for line in lines] == [8_000_000, 4]


def test_closing_does_not_take_what_the_peer_has_not_read_yet() -> None:
    may_read = threading.Event()

    def greets_and_reads_late(server: LineServer, connection: socket.socket) -> None:
        connection.sendall(b"welcome\n")  # a socket closed with this unread would reset the connection
        may_read.wait(seconds(10))
        read_all(server, connection)

    with LineServer(greets_and_reads_late) as server:
        target = TcpTarget("127.0.0.1", server.port, terminator="\n")
        for line in LINES:
            target.on_message(line)
        assert wait_until(lambda: pool_of(target).stats.completed == len(LINES))
        closer = threading.Thread(target=target.close)
        closer.start()
        may_read.set()
        closer.join(seconds(5))
        assert server.wait_for(len(LINES)) == LINES
        assert target.unconfirmed == 0


def test_a_target_says_how_many_lines_it_leaves_behind(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(tcp_target, "_FINISH_S", 0.05)
    end = threading.Event()

    def never_reads(server: LineServer, connection: socket.socket) -> None:
        end.wait(seconds(10))

    with LineServer(never_reads, receive_bytes=4096) as server:
        target = TcpTarget("127.0.0.1", server.port, terminator="\n")
        target.on_message("x" * 100_000)
        target.on_message("y")
        assert wait_until(lambda: pool_of(target).stats.completed == 2)
        target.close()
        end.set()
    assert f"closed before 127.0.0.1:{server.port} has acknowledged the last 2 lines" in caplog.text


def test_a_thread_that_hangs_in_send_does_not_hold_up_the_close() -> None:
    outcomes: list[Any] = []

    class Target(TcpTarget):
        drain_ms = 100

        def on_error(self, exception: BaseException) -> None:
            outcomes.append(exception)

    end = threading.Event()

    def never_reads(server: LineServer, connection: socket.socket) -> None:
        end.wait(seconds(10))

    with nothing_left(), LineServer(never_reads, receive_bytes=4096) as server:
        target = Target("127.0.0.1", server.port)
        target.on_message("x" * 50_000_000)
        assert wait_until(lambda: pool_of(target).stats.in_progress and target._connection)
        began = time.monotonic()
        target.close()
        assert time.monotonic() - began < seconds(2)
        assert wait_until(lambda: outcomes)
        assert isinstance(outcomes[0], OSError)
        end.set()


def test_a_peer_that_takes_nothing_for_long_counts_as_lost(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(tcp_target, "_SILENCE_S", 1)
    end = threading.Event()

    def hangs_first(server: LineServer, connection: socket.socket) -> None:
        if server.connections == 1:
            end.wait(seconds(30))
        else:
            read_all(server, connection)

    with LineServer(hangs_first, receive_bytes=4096) as server:
        with closing(TcpTarget("127.0.0.1", server.port, terminator="\n")) as target:
            target.on_message("x" * 10_000_000)
            assert len(server.wait_for(1, within=20)[0]) == 10_000_000
        end.set()
    assert "Connection timed out" in caplog.text


def test_an_address_is_needed_and_a_base_init_is_not() -> None:
    class Bare(TcpTarget):
        def __init__(self) -> None:
            """Set nothing."""

    with pytest.raises(ConnectionNotDefined, match="Bare needs a host and a port, not '' and 0"):
        Bare().open()
    with LineServer() as server:
        bare = Bare()
        bare.host, bare.port, bare.terminator = "127.0.0.1", server.port, "\n"
        bare.on_message("hello")
        bare.close()
        assert server.wait_for(1) == ["hello"]


def test_a_subclass_sends_as_the_originals_documentation_shows() -> None:
    class MyTarget(TcpTarget):
        def __init__(self, host: str, port: int) -> None:
            super().__init__(host, port)

        def process(self, message: str) -> None:
            self.send(f"{message}\n")

    with LineServer() as server:
        target = MyTarget("localhost", server.port)
        target.open()
        target.on_message("a")
        target.on_message("b")
        target.close()
        assert server.wait_for(2) == ["a", "b"]


def test_a_subclass_may_have_a_lock_and_a_pool_of_its_own() -> None:
    class MyTarget(TcpTarget):
        def __init__(self, host: str, port: int) -> None:
            super().__init__(host, port)
            self._lock = threading.Lock()
            self._pool = [b"\n"]

        def process(self, message: Any) -> None:
            with self._lock:
                self.send(message.encode() + self._pool[0])

    with LineServer() as server, closing(MyTarget("127.0.0.1", server.port)) as target:
        target.on_message("hello")
        assert server.wait_for(1) == ["hello"]
