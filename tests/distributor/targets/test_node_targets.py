"""Targets on a node: topics and streams."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from colugo import Node
from colugo.distributor import AbstractDistributionTarget, Distributor, StreamTarget, TopicTarget
from colugo.errors import StreamFullError
from colugo.patterns.streams.stream import Stream
from tests.support.essentials import Collector, run, until
from tests.support.recording_target import FedSource


@asynccontextmanager
async def serving(
    node: Node | None, target: AbstractDistributionTarget
) -> AsyncIterator[tuple[Distributor, FedSource]]:
    """A running distributor with the target."""
    distributor, source = Distributor(node), FedSource()
    distributor.add_source(source)
    distributor.add_target(target, name="target")
    await distributor.start()
    running = asyncio.create_task(distributor.run())
    try:
        yield distributor, source
    finally:
        await distributor.shutdown(1000)
        await running


def test_messages_are_published_on_a_topic_also_after_a_reload(realm: str) -> None:
    async def main() -> None:
        async with Node("d", realm=realm) as node, Node("s", realm=realm) as other:
            received = Collector()
            other.add_subscriber("alerts", received, codec="json")
            async with serving(node, TopicTarget("alerts", codec="json", retain=10)) as (distributor, source):
                for number in range(5):
                    source.put({"number": number})
                await received.reach(5)
                await distributor.exchange_target("target", TopicTarget("alerts", codec="json", retain=10))
                source.put({"number": 5})
                assert await received.reach(6) == [{"number": number} for number in range(6)]
                await until(lambda: distributor.stats["target"].completed == 6)

    run(main())


def test_messages_go_to_a_stream_that_keeps_them_over_a_reload(realm: str, tmp_path: Path) -> None:
    async def main() -> None:
        store = tmp_path / "store"
        async with (
            Node("d", realm=realm) as node,
            Node("s", realm=realm) as other,
            serving(node, StreamTarget("alerts", store=store)) as (distributor, source),
        ):
            for number in range(100):
                source.put(str(number))
            await distributor.exchange_target("target", StreamTarget("alerts", store=store))
            source.put("last")
            received = Collector()
            other.add_consumer("alerts", lambda message, delivery: received(message), group="g")
            assert await received.reach(101) == [*map(str, range(100)), "last"]

    run(main())


def test_a_full_stream_is_tried_again(realm: str, monkeypatch: pytest.MonkeyPatch) -> None:
    send = Stream.send
    fulls = [1, 2]

    def full_twice(stream: Stream, message: Any) -> str:
        if fulls:
            fulls.pop()
            raise StreamFullError("full")
        return send(stream, message)

    monkeypatch.setattr(Stream, "send", full_twice)

    async def main() -> None:
        async with (
            Node("d", realm=realm) as node,
            serving(node, StreamTarget("alerts")) as (distributor, source),
        ):
            source.put("a")
            await until(lambda: distributor.stats["target"].completed == 1)
            assert distributor.stats["target"].retried == 2

    run(main())


@pytest.mark.parametrize("target_class", [TopicTarget, StreamTarget])
def test_without_a_node_a_target_says_what_to_do(
    target_class: type[TopicTarget | StreamTarget], caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with serving(None, target_class("alerts")) as (distributor, source):
            source.put("a")
            await until(lambda: distributor.stats["target"].failed == 1)

    run(main())
    assert f"{target_class.__name__} needs a distributor with a node: Distributor(node)" in caplog.text
