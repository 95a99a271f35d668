"""One feed and many targets: those that hang, raise, lose their connection or are full harm no other."""

import asyncio
import itertools
import socket
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port
from tornado.web import Application
from tornado.websocket import WebSocketHandler

from colugo.distributor import (
    Distributor,
    TargetOptions,
    TcpTarget,
    ThreadedDistributionTarget,
    WebSocketSource,
)
from tests.support.essentials import run, until
from tests.support.line_server import LineServer

COUNT = 10_000


class Feed(WebSocketHandler):
    """Sends so many messages to each client."""

    async def open(self, *args: str, **kwargs: str) -> None:
        for number in range(COUNT):
            await self.write_message(f"message {number}")


@asynccontextmanager
async def feed() -> AsyncIterator[str]:
    listener, port = bind_unused_port(address="127.0.0.1")
    server = HTTPServer(Application([("/", Feed)]))
    server.add_socket(listener)
    try:
        yield f"ws://127.0.0.1:{port}/"
    finally:
        server.stop()
        await server.close_all_connections()


class Keeping(ThreadedDistributionTarget):
    """Keeps what it has sent, in order."""

    def __init__(self) -> None:
        super().__init__(poolsize=1)
        self.sent: list[Any] = []

    def process(self, message: Any) -> Any:
        return message

    def on_complete(self, result: Any) -> None:
        self.sent.append(result)


class Hanging(ThreadedDistributionTarget):
    """Hangs with its first message until the test ends."""

    over = threading.Event()

    def process(self, message: Any) -> None:
        self.over.wait()


class Raising(ThreadedDistributionTarget):
    """Raises each time."""

    def __init__(self) -> None:
        super().__init__(poolsize=1)
        self.errors: list[str] = []

    def process(self, message: Any) -> None:
        raise ValueError(message)

    def on_error(self, exception: BaseException) -> None:
        self.errors.append(str(exception))


TURN = threading.Lock()
"""The servers here serve one connection after another, so that their lines are in order."""


def read_a_hundred(server: LineServer, connection: socket.socket) -> None:
    """Keep a hundred lines, then close the connection, whatever has come besides."""
    with TURN, connection.makefile("r") as reader:
        for line in itertools.islice(reader, 100):
            server.lines.append(line.rstrip("\n"))


def drain(server: LineServer, connection: socket.socket) -> None:
    """Announce the end after a hundred lines, and read until the other side has closed, too."""
    with TURN, connection.makefile("r") as reader:
        for number, line in enumerate(reader):
            server.lines.append(line.rstrip("\n"))
            if number == 99:
                connection.shutdown(socket.SHUT_WR)


def numbers(lines: list[str]) -> list[int]:
    return [int(line.rpartition(" ")[2]) for line in lines]


@pytest.mark.slow
def test_targets_that_hang_raise_lose_connections_or_are_full_harm_no_other() -> None:
    async def main() -> None:
        good = [Keeping() for _ in range(3)]
        raising, hanging = Raising(), Hanging()
        server = LineServer(read_a_hundred)
        reconnecting = TcpTarget("127.0.0.1", server.port, terminator="\n")
        distributor = Distributor()
        for target in (*good, raising, reconnecting):
            distributor.add_target(target, options=TargetOptions(queue=COUNT))
        hanging_name = distributor.add_target(hanging, options=TargetOptions(queue=COUNT))
        distributor.add_target(Hanging(), name="oldest", options=TargetOptions(queue=100, workers=1))
        newest = TargetOptions(queue=100, workers=1, full="drop-newest")
        distributor.add_target(Hanging(), name="newest", options=newest)
        async with feed() as url:
            distributor.add_source(WebSocketSource(url))
            distributor.connect()
            running = asyncio.create_task(distributor.run())
            await until(lambda: all(len(target.sent) == COUNT for target in good), 60)
            await until(lambda: len(raising.errors) == COUNT, 60)
            await until(lambda: distributor.stats["TcpTarget"].completed == COUNT, 60)
            before = distributor.stats
            after = await distributor.shutdown(drain_ms=1000)
            await running
        expected = [f"message {number}" for number in range(COUNT)]
        assert all(target.sent == expected for target in good)
        assert raising.errors == expected
        # the server has what it has read of each connection; no more than it reports are missing
        missing = set(range(COUNT)) - set(numbers(server.lines))
        assert len(missing) <= reconnecting.unconfirmed
        assert server.connections > COUNT // 200
        # ten threads hang, or one; what is not with them waits or is dropped, to the message
        assert before[hanging_name].in_progress == 10
        assert before[hanging_name].queued == COUNT - 10
        assert before["oldest"].dropped == before["newest"].dropped == COUNT - 1 - 100
        assert after[hanging_name].cancelled == COUNT - 10
        assert after["oldest"].cancelled == after["newest"].cancelled == 100
        Hanging.over.set()
        server.close()

    run(main())


@pytest.mark.slow
def test_a_server_that_reads_to_the_end_before_it_closes_gets_each_line_once() -> None:
    async def main() -> None:
        server = LineServer(drain)
        distributor = Distributor()
        target = TcpTarget("127.0.0.1", server.port, terminator="\n")
        distributor.add_target(target, options=TargetOptions(queue=COUNT))
        async with feed() as url:
            distributor.add_source(WebSocketSource(url))
            distributor.connect()
            running = asyncio.create_task(distributor.run())
            await until(lambda: len(server.lines) == COUNT, 60)
            await distributor.shutdown()
            await running
        assert numbers(server.lines) == list(range(COUNT))
        assert target.unconfirmed == 0
        server.close()

    run(main())
