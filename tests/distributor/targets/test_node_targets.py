"""Targets on a node: topics and streams."""

from pathlib import Path
from typing import Any

import pytest

from colugo import Node
from colugo.distributor import StreamTarget, TopicTarget
from colugo.errors import StreamFullError
from colugo.patterns.streams.stream import Stream
from tests.support.essentials import Collector, run, until
from tests.support.recording_target import distributing


def test_messages_are_published_on_a_topic_also_after_a_reload(realm: str) -> None:
    async def main() -> None:
        async with Node("d", realm=realm) as node, Node("s", realm=realm) as other:
            received = Collector()
            other.add_subscriber("alerts", received, codec="json")
            async with distributing(TopicTarget("alerts", codec="json", retain=10), node=node) as (
                distributor,
                source,
            ):
                for number in range(5):
                    source.put({"number": number})
                await received.reach(5)
                await distributor.exchange_target("t0", TopicTarget("alerts", codec="json", retain=10))
                source.put({"number": 5})
                assert await received.reach(6) == [{"number": number} for number in range(6)]
                await until(lambda: distributor.stats["t0"].completed == 6)

    run(main())


def test_messages_go_to_a_stream_that_keeps_them_over_a_reload(realm: str, tmp_path: Path) -> None:
    async def main() -> None:
        store = tmp_path / "store"
        async with (
            Node("d", realm=realm) as node,
            Node("s", realm=realm) as other,
            distributing(StreamTarget("alerts", store=store), node=node) as (distributor, source),
        ):
            for number in range(100):
                source.put(str(number))
            await distributor.exchange_target("t0", StreamTarget("alerts", store=store))
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
            distributing(StreamTarget("alerts"), node=node) as (distributor, source),
        ):
            source.put("a")
            await until(lambda: distributor.stats["t0"].completed == 1)
            assert distributor.stats["t0"].retried == 2

    run(main())


@pytest.mark.parametrize("target_class", [TopicTarget, StreamTarget])
def test_without_a_node_a_target_says_what_to_do(
    target_class: type[TopicTarget | StreamTarget], caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with distributing(target_class("alerts")) as (distributor, source):
            source.put("a")
            await until(lambda: distributor.stats["t0"].failed == 1)

    run(main())
    assert f"{target_class.__name__} needs a distributor with a node: Distributor(node)" in caplog.text
