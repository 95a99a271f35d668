"""The way from a source to a stream, when the store fails and from other threads."""

import asyncio
from typing import Any

import pytest

from colugo import Node
from colugo.cli.distributor.stored_feed import StoredFeed
from colugo.distributor.base import QUEUED
from colugo.errors import MessageTooLargeError, StoreError
from tests.support.essentials import run


class Failing:
    """A stream whose store fails a number of times, and which takes no long messages."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.sent: list[Any] = []

    async def send_wait(self, message: Any) -> None:
        await asyncio.sleep(0)
        if len(message) > 10:
            raise MessageTooLargeError(message)
        if self.failures:
            self.failures -= 1
            raise StoreError("the disk is full")
        self.sent.append(message)


def test_a_message_waits_until_the_store_can_be_written_again(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        stream: Any = Failing(3)
        feed = StoredFeed(stream, retry=True)
        await feed.put("one")
        assert stream.sent == ["one"]
        assert (feed.stored, feed.pending) == (1, 0)

    run(main())
    assert "a message waits, because it cannot be stored: the disk is full" in caplog.text


def test_a_sender_that_can_try_again_gets_the_error() -> None:
    async def main() -> None:
        stream: Any = Failing(1)
        feed = StoredFeed(stream, retry=False)
        with pytest.raises(StoreError):
            await feed.put("one")
        with pytest.raises(MessageTooLargeError):
            await feed.put("much too long")
        assert feed.pending == 0

    run(main())


def test_a_message_that_is_too_large_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        stream: Any = Failing(0)
        feed = StoredFeed(stream, retry=True)
        await feed.put("much too long")
        assert (feed.stored, feed.refused) == (0, 1)

    run(main())
    assert "a message is left out: much too long" in caplog.text


def test_messages_that_are_taken_ahead_are_stored_in_order_and_wait_for_room() -> None:
    async def main() -> None:
        stream: Any = Failing(0)
        feed = StoredFeed(stream, ahead=4)
        waits = [feed.put(number) for number in "abcd"]
        assert [one is QUEUED for one in waits] == [True, True, True, False]
        assert stream.sent == []
        await waits[-1]
        assert len(stream.sent) >= 2
        await feed.finished()
        assert stream.sent == list("abcd")
        assert feed.stored == 4

    run(main())


def test_a_message_whose_source_is_closed_meanwhile_is_stored() -> None:
    async def main() -> None:
        stream: Any = Failing(0)
        feed = StoredFeed(stream)

        async def listen() -> None:
            await feed.put("one")

        listening = asyncio.create_task(listen())
        await asyncio.sleep(0)
        listening.cancel()
        await asyncio.wait([listening])
        await feed.finished()
        assert stream.sent == ["one"]

    run(main())


def test_a_message_is_stored_from_a_thread_or_without_being_awaited_and_as_json_if_it_is_no_text() -> None:
    async def main() -> None:
        async with Node("feed") as node:
            stream = node.add_stream("alerts")
            feed = StoredFeed(stream, retry=True)
            await asyncio.to_thread(feed.put, {"symbol": "BTC"})
            assert feed.stored == 1
            feed.put("thrown away")
            await feed.finished()
            stored = [message.payload for message in await stream.messages()]
            assert stored == [b'{"symbol":"BTC"}', b"thrown away"]

    run(main())
