"""The WebSocket source, against a real server."""

import asyncio
import logging
import re
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from colugo.distributor import InvalidUrlException, WebSocketSource
from colugo.errors import ConfigurationError
from tests.support.essentials import free_port, run, seconds, until
from tests.support.feeding import Feed, SilentCable, feed_server, make_certificate, opened

GAP = re.compile(r"connected again; the gap lasted (\d+) ms, from (\S+) to (\S+)")


def fast(port: int, **options: Any) -> WebSocketSource:
    """A source that connects again at once."""
    return WebSocketSource(f"ws://127.0.0.1:{port}/", **{"retry_ms": 10, "max_retry_ms": 50, **options})


def subscribed(feed: Feed, n: int) -> bool:
    """Return True if n connections have subscribed."""
    return feed.received == ["subscribe"] * n


def test_text_arrives_as_str_and_binary_as_bytes() -> None:
    async def main() -> None:
        async with feed_server() as feed:
            source = WebSocketSource(f"ws://127.0.0.1:{feed.port}", protocols=["http-only", "chat"])
            async with opened(source) as messages:
                connection = await feed.connected(1)
                await connection.write_message("é")
                await connection.write_message(b"\xff", binary=True)
                assert await messages.reach(2) == ["é", b"\xff"]
                assert connection.selected_subprotocol == "chat"
                assert source.connected
                assert source.received == 2

    run(main())


def test_headers_are_sent_and_the_subscription_is_repeated_after_each_connect() -> None:
    async def main() -> None:
        async with feed_server() as feed:
            source = fast(feed.port, headers={"Authorization": "Bearer x"}, send_on_connect="subscribe")
            async with opened(source):
                for n in (1, 2, 3):
                    connection = await feed.connected(n)
                    assert connection.request.headers["Authorization"] == "Bearer x"
                    await until(partial(subscribed, feed, n))
                    connection.close(1001, "restart")
                await until(lambda: source.reconnects == 3)

    run(main())


def test_a_server_that_comes_later_is_found(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        cable = SilentCable(0)
        async with feed_server() as feed:
            cable = SilentCable(feed.port)
            cable.port = free_port()
            async with opened(fast(cable.port)) as messages:
                await until(lambda: "cannot connect" in caplog.text)
                await cable.open()
                connection = await feed.connected(1)
                await connection.write_message("hello")
                assert await messages.reach(1) == ["hello"]
            await cable.cut()

    run(main())


def test_closing_sends_a_close_frame() -> None:
    async def main() -> None:
        async with feed_server() as feed:
            for code, seen in ((3000, 3000), (0, 1000)):  # a distributor closes with DISCONNECT_SHUTDOWN
                source = fast(feed.port)
                async with opened(source):
                    connection = await feed.connected(len(feed.connections) + 1)
                    await until(partial(getattr, source, "connected"))
                    source.close(code, "é" * 100)
                    async with asyncio.timeout(seconds(5)):
                        await connection.ended.wait()
                    assert (connection.close_code, connection.close_reason) == (seen, "é" * 61)
                    await source.wait_ended()

    run(main())


@pytest.mark.parametrize("url", ["http://127.0.0.1/", "127.0.0.1:80", "ws://", "ws://h:99999", ""])
def test_a_url_of_another_kind_is_refused(url: str) -> None:
    with pytest.raises(InvalidUrlException, match="URL"):
        WebSocketSource(url)


def test_options_that_cannot_work_are_refused() -> None:
    wrong: list[dict[str, Any]] = [
        {"protocols": "chat"},
        {"ping_ms": 0},
        {"ca_file": "/does/not/exist"},
        {"max_message_bytes": 2**30},
    ]
    for options in wrong:
        with pytest.raises(ConfigurationError, match=next(iter(options))):
            WebSocketSource("ws://127.0.0.1/", **options)


def test_a_log_shows_neither_password_nor_query_of_the_url() -> None:
    source = WebSocketSource("wss://me:secret@feed.example:1234/path?token=secret")
    assert source.label == "WebSocketSource wss://feed.example:1234/path"


def test_a_message_of_10_mb_arrives() -> None:
    async def main() -> None:
        async with feed_server() as feed, opened(fast(feed.port, ping_ms=1000)) as messages:
            connection = await feed.connected(1)
            await connection.write_message("x" * 10_000_000)
            (message,) = await messages.reach(1)
            assert len(message) == 10_000_000

    run(main())


@pytest.mark.parametrize("what", ["invalid", "long"])
def test_text_that_is_invalid_or_too_long_ends_the_connection_and_is_counted(
    what: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with feed_server() as feed:
            source = fast(feed.port, max_message_bytes=1000)
            async with opened(source) as messages:
                connection = await feed.connected(1)
                await connection.write_message("before")
                await messages.reach(1)
                if what == "invalid":
                    connection.send_invalid_text()
                else:
                    await connection.write_message("x" * 1001)
                connection = await feed.connected(2)
                await connection.write_message("after")
                assert await messages.reach(2) == ["before", "after"]
                assert source.malformed == 1
                assert "not UTF-8" in caplog.text
                connection.close()
                await feed.connected(3)
                assert source.malformed == 1

    run(main())


def test_a_source_that_is_held_up_for_long_keeps_its_connection() -> None:
    async def main() -> None:
        async with feed_server() as feed:
            source = fast(feed.port, ping_ms=100)
            held, go, got = asyncio.Event(), asyncio.Event(), []

            async def take(message: str) -> None:
                got.append(message)
                held.set()
                await go.wait()

            async with opened(source) as messages:
                source.set_on_message(take)
                connection = await feed.connected(1)
                for n in range(10):
                    await connection.write_message(str(n))
                await held.wait()
                pings = connection.pings
                await until(lambda: connection.pings >= pings + 6)
                go.set()
                await until(lambda: len(got) == 10)
                assert source.reconnects == 0
                assert not messages.items

    run(main())


def test_an_error_of_the_receiver_is_logged_and_the_source_connects_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        async with feed_server() as feed:
            source = fast(feed.port)
            async with opened(source) as messages:

                async def fail(message: str) -> None:
                    source.set_on_message(messages.take)
                    raise ValueError("no room")

                source.set_on_message(fail)
                await (await feed.connected(1)).write_message("lost")
                await (await feed.connected(2)).write_message("kept")
                assert await messages.reach(1) == ["kept"]
                assert "ValueError: no room" in caplog.text

    run(main())


def test_a_certificate_is_checked_against_the_given_file(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    certificate = make_certificate(tmp_path)

    async def main() -> None:
        async with feed_server(certificate) as feed:
            url = f"wss://127.0.0.1:{feed.port}/"
            async with opened(WebSocketSource(url, retry_ms=10, max_retry_ms=50)) as messages:
                await until(lambda: "CERTIFICATE_VERIFY_FAILED" in caplog.text)
                assert not feed.connections
            async with opened(WebSocketSource(url, ca_file=str(certificate[0]))) as messages:
                await (await feed.connected(1)).write_message("hello")
                assert await messages.reach(1) == ["hello"]

    run(main())


def test_a_feed_that_dies_20_times_is_resumed_within_the_ping_limit(caplog: pytest.LogCaptureFixture) -> None:
    ping_ms = 400
    caplog.set_level(logging.WARNING)

    async def main() -> list[float]:
        took: list[float] = []
        async with feed_server() as feed:
            cable = SilentCable(feed.port)
            await cable.open()
            source = fast(cable.port, ping_ms=ping_ms)
            async with opened(source) as messages:
                for n in range(20):
                    connection = await feed.connected(n + 1)
                    await connection.write_message(str(n))
                    await messages.reach(n + 1)
                    began = time.monotonic()
                    if n % 2:
                        cable.silence()
                    else:
                        await cable.cut()
                        await cable.open()
                    await feed.connected(n + 2)
                    took.append(time.monotonic() - began)
                assert messages.items == [str(n) for n in range(20)]
                await until(lambda: source.reconnects == 20)
            await cable.cut()
        return took

    took = run(main(), within=50)
    assert max(took) < seconds((ping_ms + 300) / 1000), took
    gaps = GAP.findall(caplog.text)
    assert len(gaps) == 20
    for length_ms, began, ended in gaps:
        assert 0 <= int(length_ms) < seconds(ping_ms + 300)
        assert began < ended
    assert caplog.text.count(f"no answer to a ping within {ping_ms // 2} ms") == 10
