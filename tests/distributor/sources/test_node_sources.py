"""The sources of topics and streams, with real nodes."""

import asyncio

import pytest

from colugo import Node
from colugo.distributor import StreamSource, TopicSource
from colugo.errors import ConnectorNotInitialized, TopicError
from tests.support.essentials import run, until
from tests.support.feeding import opened
from tests.support.streaming import drained


def test_messages_of_topics_of_a_pattern_are_messages() -> None:
    async def main() -> None:
        async with Node("n") as node:
            publishers = [node.add_publisher(topic, codec="json") for topic in ("alerts.a", "alerts.b")]
            source = TopicSource("alerts.*", codec="json")
            source.attach(node)
            async with opened(source) as messages:
                for publisher in publishers:
                    await publisher.ready()
                    publisher.send({"topic": publisher.topic})
                await messages.reach(2)
                assert {message["topic"] for message in messages.items} == {"alerts.a", "alerts.b"}
                assert source.lost == 0

    run(main())


def test_messages_that_find_no_room_are_counted_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with Node("n") as node:
            publisher = node.add_publisher("alerts", hwm=100_000)
            source = TopicSource("alerts")
            source.attach(node)
            go = asyncio.Event()

            async def wait(message: str) -> None:
                await go.wait()

            async with opened(source):
                source.set_on_message(wait)
                await publisher.ready()
                for n in range(3000):
                    publisher.send(str(n))
                assert source._subscriber is not None
                subscriber = source._subscriber
                await until(lambda: subscriber.stats.received == 3000)
                go.set()
                await until(lambda: source.received + subscriber.stats.dropped == 3000)
            assert source.lost == 3000 - source.received > 0
            assert f"{source.lost} messages so far were dropped" in caplog.text

    run(main())


def test_messages_that_do_not_decode_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with Node("n") as node:
            publisher = node.add_publisher("alerts")
            source = TopicSource("alerts", codec="json")
            source.attach(node)
            async with opened(source) as messages:
                await publisher.ready()
                publisher.send(b"{")
                publisher.send(b"{}")
                assert await messages.reach(1) == [{}]
                assert source.malformed == 1
                assert "does not decode" in caplog.text

    run(main())


def test_messages_of_a_stream_are_acknowledged_when_they_are_taken() -> None:
    async def main() -> None:
        async with Node("n") as node:
            stream = node.add_stream("orders", groups=["g"])
            source = StreamSource("orders", group="g")
            source.attach(node)
            async with opened(source) as messages:
                await stream.send_wait("one")
                await stream.send_wait("two")
                assert await messages.reach(2) == ["one", "two"]
                await drained(stream)

    run(main())


def test_a_message_of_a_stream_that_is_not_taken_comes_again() -> None:
    async def main() -> None:
        async with Node("n") as node:
            stream = node.add_stream("orders", groups=["g"], retry_delay_ms=1)
            source = StreamSource("orders", group="g")
            source.attach(node)
            async with opened(source) as messages:

                async def fail(message: str) -> None:
                    source.set_on_message(messages.take)
                    raise OSError("disk full")

                source.set_on_message(fail)
                await stream.send_wait("one")
                assert await messages.reach(1) == ["one"]
                await drained(stream)

    run(main())


def test_without_a_node_or_with_a_wrong_topic_open_raises() -> None:
    for source in (TopicSource("alerts"), StreamSource("alerts")):
        with pytest.raises(ConnectorNotInitialized, match="Distributor\\(node\\)"):
            source.open()

    async def main() -> None:
        async with Node("n") as node:
            source = TopicSource("a b")
            source.attach(node)
            with pytest.raises(TopicError):
                source.open()

    run(main())
