"""What nodes are asked of their streams, and how the streams of a topic tell each other of groups."""

from typing import Any

import pytest

from colugo import Node
from colugo.errors import LifecycleError, RemoteError
from colugo.net.node_endpoint import ask
from colugo.patterns.stream import Stream
from tests.support import Collector, run, until


async def answer(node: Node, question: str, **arguments: Any) -> Any:
    """Ask a node as a tool does."""
    own = next(one for one in node.nodes if one.node_id == node.uuid.bytes)
    return await ask(node._runtime.sockets, own.endpoints[0], question, 5000, arguments)


async def meet(stream: Stream, group: str, **options: Any) -> None:
    """A consumer of a group comes to this stream only, and goes."""
    async with Node("passing consumer", realm=f"{stream.topic}.elsewhere") as node:
        consumer = node.add_consumer(
            stream.topic, print, group=group, connect=stream.endpoints[:1], **options
        )
        await consumer.ready()
        await until(lambda: group in stream.groups)
    await until(lambda: group not in stream.groups or stream.groups[group].members == 0)


# --- groups


def test_a_durable_group_that_one_stream_has_met_is_known_to_one_that_begins_after_it_left() -> None:
    async def main() -> None:
        async with Node("a") as a:
            first = a.add_stream("jobs")
            await meet(first, "billing", bindings=["paid.*"])
            async with Node("b") as b:
                second = b.add_stream("jobs")
                await until(lambda: "billing" in second.groups)
                assert second.groups["billing"].durable
                second.send("no consumer wants this", key="open.1")
                second.send("one", key="paid.1")
                handled = Collector()
                async with Node("c") as c:
                    c.add_consumer("jobs", handled, group="billing", bindings=["paid.*"])
                    assert await handled.reach(1) == ["one"]
                    await second.drained()
                assert second.stats.unrouted == 1

    run(main())


def test_a_group_that_is_met_while_both_streams_run_is_known_to_both() -> None:
    async def main() -> None:
        async with Node("a") as a, Node("b") as b:
            first, second = a.add_stream("jobs"), b.add_stream("jobs", groups=["early"])
            await until(lambda: "early" in first.groups)
            await meet(first, "late")
            await until(lambda: "late" in second.groups)

    run(main())


def test_a_group_that_is_not_durable_is_not_told_of() -> None:
    async def main() -> None:
        async with Node("a") as a, Node("b") as b:
            first, second = a.add_stream("jobs"), b.add_stream("jobs")
            await meet(first, "passing", durable=False)
            await meet(first, "marker")
            await until(lambda: "marker" in second.groups)
            assert "passing" not in second.groups

    run(main())


def test_what_one_stream_forgets_the_other_forgets_too() -> None:
    async def main() -> None:
        async with Node("a") as a, Node("b") as b:
            first, second = a.add_stream("jobs", groups=["gone"]), b.add_stream("jobs")
            await until(lambda: "gone" in second.groups)
            second.send("waits for them")
            await until(lambda: second.stats.messages == 1)
            assert first.forget("gone")
            await until(lambda: "gone" not in second.groups)
            assert not second.forget("gone")

    run(main())


def test_a_stream_that_was_down_learns_by_the_tombstone_that_a_group_was_forgotten(tmp_path: Any) -> None:
    async def main() -> None:
        async with Node("a") as a:
            first = a.add_stream("jobs", store=tmp_path / "a.db", groups=["gone", "kept"])
            async with Node("b") as b:
                second = b.add_stream("jobs", store=tmp_path / "b.db")
                await until(lambda: set(second.groups) == {"gone", "kept"})
                await second.send_wait("waits for both")
            assert first.forget("gone")
        async with Node("a") as a:  # it remembers across a restart of its own
            a.add_stream("jobs", store=tmp_path / "a.db")
            async with Node("b") as b:
                second = b.add_stream("jobs", store=tmp_path / "b.db")
                assert set(second.groups) == {"gone", "kept"}
                await until(lambda: set(second.groups) == {"kept"})
                handled = Collector()
                b.add_consumer("jobs", handled, group="kept")
                await handled.reach(1)
                await second.drained()

    run(main())


def test_a_consumer_that_comes_again_revives_its_group_at_all_streams() -> None:
    async def main() -> None:
        async with Node("a") as a, Node("b") as b:
            first, second = a.add_stream("jobs"), b.add_stream("jobs", groups=["back"])
            await until(lambda: "back" in first.groups)
            assert second.forget("back")
            await until(lambda: "back" not in first.groups)
            await meet(first, "back")
            await until(lambda: "back" in second.groups)
            assert second.groups["back"].durable

    run(main())


def test_a_group_is_not_forgotten_while_it_has_consumers_here_or_at_another_stream() -> None:
    async def main() -> None:
        async with Node("a") as a, Node("b") as b, Node("c", realm="elsewhere") as c:
            first, second = a.add_stream("jobs"), b.add_stream("jobs")
            c.add_consumer("jobs", print, group="alive", connect=first.endpoints[:1])
            await until(lambda: "alive" in second.groups)
            with pytest.raises(LifecycleError, match="'alive' has 1 consumers"):
                first.forget("alive")
            known = first._keeper.groups["alive"].changed_ms
            assert second.forget("alive")
            # the first one says that it is there, which is the newer word
            await until(lambda: "alive" in second.groups)
            assert first._keeper.groups["alive"].changed_ms > known
            assert first.groups["alive"].members == 1

    run(main())


def test_a_tombstone_of_a_clock_that_is_ahead_does_not_outlive_a_consumer() -> None:
    async def main() -> None:
        async with Node("a") as a:
            stream = a.add_stream("jobs", groups=["g"])
            ahead = {"name": "g", "bindings": ["#"], "forgotten": True, "changed_ms": 2**52}
            told = await answer(a, "stream-groups", topic="jobs", groups=[ahead])
            assert told == [ahead]
            await meet(stream, "g")
            (told,) = await answer(a, "stream-groups", topic="jobs", groups=[ahead])
            assert (told["forgotten"], told["changed_ms"]) == (False, 2**52 + 1)
            assert "g" in stream.groups
            assert stream.forget("g")
            (told,) = await answer(a, "stream-groups", topic="jobs")
            assert told["changed_ms"] == 2**52 + 2

    run(main())


def test_more_groups_than_a_question_can_carry_are_told_in_parts() -> None:
    async def main() -> None:
        async with Node("a") as a, Node("b") as b:
            first, second = a.add_stream("jobs"), b.add_stream("jobs")
            for number in range(60):  # together 2.4 MB of bindings
                bindings = [f"{number}.{key:03}.{'x' * 90}" for key in range(400)]
                first._keeper.make_group(f"g{number}", bindings, durable=True)
            await until(lambda: len(second.groups) == 60)
            await meet(second, "back")
            await until(lambda: len(first.groups) == 61)

    run(main())


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({}, "missing required field `topic`"),
        ({"topic": 1}, "Expected `str`"),
        ({"topic": "jobs", "more": 1}, "unknown field `more`"),
        ({"topic": "other"}, "this node has no stream other"),
        ({"topic": "jobs", "socket": "00"}, "this node has no stream jobs with the id 00"),
        ({"topic": "jobs", "groups": "all"}, "Expected `array`"),
        ({"topic": "jobs", "groups": [{"name": "g"}]}, "missing required field `bindings`"),
        (
            {
                "topic": "jobs",
                "groups": [{"name": "", "bindings": ["#"], "forgotten": False, "changed_ms": 1}],
            },
            "must not be empty",
        ),
        (
            {"topic": "jobs", "groups": [{"name": "g", "bindings": [], "forgotten": False, "changed_ms": 1}]},
            "bindings are possible",
        ),
        (
            {"topic": "jobs", "groups": [{"name": "g", "bindings": ["#"], "forgotten": 1, "changed_ms": 1}]},
            "Expected `bool`",
        ),
        (
            {
                "topic": "jobs",
                "groups": [{"name": "g", "bindings": ["#"], "forgotten": True, "changed_ms": 2**60}],
            },
            "changed_ms",
        ),
    ],
)
def test_news_of_groups_that_are_none_are_refused(
    arguments: dict[str, Any], text: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with Node("a") as a:
            stream = a.add_stream("jobs")
            with pytest.raises(RemoteError, match="ConfigurationError") as raised:
                await answer(a, "stream-groups", **arguments)
            assert text in str(raised.value)
            assert stream.groups == {}
        assert caplog.records == []

    run(main())
