"""The WebSocket server: clients get all messages, slow ones are disconnected, ports are free again."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import WebSocketClientConnection, websocket_connect

from colugo.distributor import DefaultFormatter, WebSocketTarget
from colugo.errors import ConfigurationError
from tests.support.essentials import free_port, run, until
from tests.support.leftovers import nothing_left
from tests.support.recording_target import distributing


@asynccontextmanager
async def connected(target: WebSocketTarget, path: str = "/") -> AsyncIterator[WebSocketClientConnection]:
    """A client."""
    before = target.clients
    client = await websocket_connect(f"ws://127.0.0.1:{target.port}{path}")
    try:
        await until(lambda: target.clients == before + 1)
        yield client
    finally:
        client.close()
        await until(lambda: target.clients == before)


async def read_to_the_end(client: WebSocketClientConnection) -> list[Any]:
    messages = []
    while (message := await client.read_message()) is not None:
        messages.append(message)
    return messages


def test_every_client_gets_each_message_in_order() -> None:
    async def main() -> None:
        target = WebSocketTarget(0, path="/feed")
        async with distributing(target) as (distributor, source), AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(connected(target, "/feed")) for _ in range(3)]
            await clients[0].write_message("ignored")
            sent = ["text", b"\xff", {"a": 1}, *map(str, range(1000))]
            for message in sent:
                source.put(message)
            await until(lambda: distributor.stats["t0"].completed == len(sent))
            reading = [asyncio.create_task(read_to_the_end(client)) for client in clients]
            await distributor.shutdown(1000)
            for messages in await asyncio.gather(*reading):
                assert messages == ["text", b"\xff", '{"a":1}', *map(str, range(1000))]
            assert {client.close_code for client in clients} == {1001}
            await until(lambda: target.clients == 0)
            stack.pop_all()
            for client in clients:
                client.close()

    run(main())
    with nothing_left():
        run(main())


def test_a_slow_client_is_disconnected_and_the_others_notice_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)

    async def main() -> None:
        target = WebSocketTarget(0, max_queued=5)
        async with distributing(target) as (distributor, source), connected(target) as quick:
            _, writer = await asyncio.open_connection("127.0.0.1", target.port, limit=1024)
            writer.write(
                b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            )
            await until(lambda: target.clients == 2)
            sent = 0
            while target.disconnected == 0:
                source.put("x" * 100_000)
                sent += 1
                assert len(await quick.read_message() or "") == 100_000
            assert (target.clients, target.disconnected) == (1, 1)
            await until(lambda: distributor.stats["t0"].completed == sent)
            writer.close()

    run(main())
    assert "5 messages waited for it" in caplog.text


def test_a_client_that_keeps_up_survives_a_burst_beyond_max_queued() -> None:
    async def main() -> None:
        target = WebSocketTarget(0, max_queued=1)
        async with distributing(target) as (_, source), connected(target) as client:
            for number in range(1000):
                source.put(str(number))
            assert [await client.read_message() for _ in range(1000)] == list(map(str, range(1000)))
            assert target.disconnected == 0

    run(main())


def test_a_target_in_its_place_can_bind_the_port_again() -> None:
    async def main() -> None:
        port = free_port()
        async with distributing(WebSocketTarget(port)) as (distributor, source):
            for number in range(5):
                target = WebSocketTarget(port)
                await distributor.exchange_target("t0", target, formatter=DefaultFormatter())
                async with connected(target) as client:
                    source.put(number)
                    assert await client.read_message() == str(number)

    run(main())
    with nothing_left():
        run(main())


def test_a_port_that_is_taken_is_tried_again_with_each_message(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as other:
            target = WebSocketTarget(other.getsockname()[1])
            async with distributing(target) as (distributor, source):
                source.put("a")
                await until(lambda: distributor.stats["t0"].failed == 1)
                other.close()
                source.put("b")
                await until(lambda: distributor.stats["t0"].completed == 1)
                async with connected(target):
                    pass

    run(main())
    assert "target t0: open() raised" in caplog.text


def test_pages_of_other_origins_and_other_paths_are_refused() -> None:
    async def main() -> None:
        target = WebSocketTarget(0, path="/feed")
        async with distributing(target):
            url = f"ws://127.0.0.1:{target.port}/feed"
            with pytest.raises(HTTPClientError, match="403"):
                await websocket_connect(HTTPRequest(url, headers={"Origin": "http://evil.example"}))
            with pytest.raises(HTTPClientError, match="404"):
                await websocket_connect(f"{url}/other")

    run(main())


def test_impossible_arguments_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="path must begin with a slash, not 'feed'"):
        WebSocketTarget(0, path="feed")
    with pytest.raises(ConfigurationError, match="max_queued must be an integer ≥ 1, not 0"):
        WebSocketTarget(0, max_queued=0)
