"""A connecting socket reports connected and lost endpoints."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
from tornado.ioloop import IOLoop

from colugo.net.transport.connector import Connector
from colugo.net.transport.sockets import Sockets, bind
from tests.support.essentials import Collector, run


@contextmanager
def publishing(address: str, port: int | None = None) -> Iterator[tuple[str, int]]:
    """An endpoint that exists within the context."""
    sockets = Sockets(1024)
    socket = sockets.xpub(0)
    try:
        port, _ = bind(socket, (address,), port)
        yield (f"tcp://[{address}]:{port}" if ":" in address else f"tcp://{address}:{port}"), port
    finally:
        socket.close(0)
        sockets.close()


class Listener:
    def __init__(self, up: Collector, lost: Collector) -> None:
        self.on_connected = up
        self.on_lost = lost

    def on_message(self, frames: list[bytes]) -> None:
        pass


@pytest.mark.parametrize("first", ["::1", "127.0.0.2"])
def test_an_endpoint_that_comes_back_and_goes_is_told_beside_one_of_ipv6(first: str) -> None:
    async def main() -> None:
        sockets = Sockets(1024)
        up, lost = Collector(), Collector()
        connector = Connector(IOLoop.current(), sockets, sockets.xsub(), Listener(up, lost))
        with ExitStack() as stack:
            stack.callback(sockets.close)
            stack.callback(connector.close)
            other, _ = stack.enter_context(publishing(first))
            connector.connect(other)
            await up.reach(1)
            with publishing("127.0.0.1") as (endpoint, port):
                connector.connect(endpoint)
                await up.reach(2)
            await lost.reach(1)
            with publishing("127.0.0.1", port):
                assert await up.reach(3) == [other, endpoint, endpoint]
            assert await lost.reach(2) == [endpoint, endpoint]

    run(main())
