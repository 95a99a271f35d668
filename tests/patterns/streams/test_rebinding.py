"""Consumers that bind to other keys while they run, and groups that come and go."""

import asyncio
import threading
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from colugo import ClosedError, ConfigurationError, Delivery, Node, Stream, exact
from colugo.net.directory import DirectoryChange
from tests.support.essentials import Collector, run, seconds, until


def is_bound(stream: Stream, key: str) -> bool:
    return stream._scheduler.groups.known["g"].bindings.patterns == ("a", key)


def test_a_consumer_that_binds_to_another_key_gets_what_was_sent_before() -> None:
    async def main() -> None:
        async with Node("p") as p, Node("c") as c:
            stream = p.add_stream("jobs", ack="any")
            got = Collector()
            consumer = c.add_consumer("jobs", got, bindings=["a"], durable=False)
            await consumer.ready()
            stream.send("for b", key="b")
            stream.send("for a", key="a")
            assert await got.reach(1) == ["for a"]
            consumer.rebind(["a", "b"])
            assert await got.reach(2) == ["for a", "for b"]
            stream.send("later", key="a")
            assert await got.reach(3) == ["for a", "for b", "later"]
            async with asyncio.timeout(seconds(5)):
                await stream.drained()
            assert consumer.bindings == ("a", "b")

    run(main())


def test_what_a_consumer_is_at_work_with_while_it_binds_is_not_handed_to_it_again() -> None:
    async def main() -> None:
        async with Node("p") as p, Node("c") as c:
            stream = p.add_stream("jobs", ack="any")
            begun, go_on, calls = asyncio.Event(), asyncio.Event(), []

            async def work(message: str) -> None:
                calls.append(message)
                begun.set()
                if message == "slow":
                    await go_on.wait()

            consumer = c.add_consumer("jobs", work, bindings=["a"], durable=False)
            for message in ("slow", "second", "third"):
                stream.send(message, key="a")
            async with asyncio.timeout(seconds(5)):
                await begun.wait()
            consumer.rebind(["a", "b"])
            consumer.rebind(["b", "a", exact("c")])
            await consumer.ready()
            await until(lambda: consumer.stats.duplicates or consumer.stats.waiting == 2)
            go_on.set()
            async with asyncio.timeout(seconds(5)):
                await stream.drained()
            assert sorted(calls) == ["second", "slow", "third"]
            assert stream.stats.dead == 0

    run(main())


@pytest.mark.parametrize("durable", [True, False])
def test_with_all_nothing_that_waits_for_a_group_is_lost_when_it_binds_to_other_keys(
    *, durable: bool
) -> None:
    """Also what has not been read from the store yet, and while other groups are known."""

    async def main() -> None:
        async with Node("p") as p, Node("c") as c:
            stream = p.add_stream("jobs", groups=["other"])
            got: list[str] = []
            begun, go_on = asyncio.Event(), asyncio.Event()

            async def work(message: str) -> None:
                begun.set()
                await go_on.wait()
                got.append(message)

            consumer = c.add_consumer(
                "jobs", work, group="g" if durable else None, bindings=["a"], durable=durable
            )
            await consumer.ready()
            for n in range(5000):
                stream.send(f"a {n}", key="a")
                stream.send(f"b {n}", key="b")
            async with asyncio.timeout(seconds(5)):
                await begun.wait()
            for number, bindings in enumerate((["a", "b"], ["b"], ["c"])):
                consumer.rebind(bindings)
                await consumer.ready()
                for key in ("a", "b", "c"):
                    await stream.send_wait(f"{key} after {number}", key=key)
            go_on.set()
            await until(lambda: "c after 2" in got)
            wanted = ["a after 0", "b after 0", "b after 1", "c after 2"]
            assert sorted(got) == sorted([*(f"a {n}" for n in range(5000)), *wanted])
            assert got[:5000] == [f"a {n}" for n in range(5000)], "in their order"
            assert consumer.stats.redelivered == 0

    run(main())


def test_what_waits_for_a_group_that_binds_to_other_keys_outlives_a_restart_of_the_producer(
    tmp_path: Path,
) -> None:
    async def main() -> None:
        async with Node("p") as p, Node("c") as c:
            stream = p.add_stream("jobs", store=tmp_path / "jobs.db", groups=["other"])
            first = c.add_consumer("jobs", print, group="g", bindings=["a"])
            await first.ready()
            first.close()
            await until(lambda: not stream.consumers)
            for key in ("a", "b"):
                await stream.send_wait(f"{key} before", key=key)
            second = c.add_consumer(
                "jobs", lambda message, delivery: None, group="g", bindings=["b"], auto_ack=False
            )
            await second.ready()
            for key in ("a", "b"):
                await stream.send_wait(f"{key} after", key=key)
        async with Node("p") as p, Node("c") as c:
            stream = p.add_stream("jobs", store=tmp_path / "jobs.db", groups=["other"])
            got = Collector()
            c.add_consumer("jobs", got, group="g", bindings=["b"])
            assert sorted(await got.reach(2)) == ["a before", "b after"]
            await stream.send_wait("last", key="b")
            assert (await got.reach(3))[2:] == ["last"]

    run(main())


def test_a_stream_that_forgets_a_consumer_while_it_binds_lets_it_join_by_the_new_bindings() -> None:
    async def main() -> None:
        async with Node("p") as p, Node("c") as c:
            stream = p.add_stream("jobs", ack="any")
            got = Collector()
            consumer = c.add_consumer("jobs", got, bindings=["a"], durable=False)
            await consumer.ready()
            stream._sessions._on_lost(next(iter(stream._sessions._sessions)))
            consumer.rebind(["b"])
            stream.send("x", key="b")
            assert await got.reach(1) == ["x"]
            await consumer.ready()
            assert (stream.consumers, consumer.streams) == (1, 1)

    run(main())


def test_a_consumer_that_no_longer_binds_to_a_key_leaves_its_messages_to_others() -> None:
    async def main() -> None:
        async with Node("p") as p, Node("c") as c:
            stream = p.add_stream("jobs", ack="any")
            got, others = Collector(), Collector()
            consumer = c.add_consumer("jobs", got, bindings=["a", "b"], durable=False)
            await consumer.ready()
            consumer.rebind(["b"])
            stream.send("x", key="a")
            stream.send("y", key="b")
            assert await got.reach(1) == ["y"]
            await until(lambda: stream.stats.messages == 1)
            c.add_consumer("jobs", others, bindings=["a"], durable=False)
            assert await others.reach(1) == ["x"]

    run(main())


def test_a_consumer_that_has_two_connections_to_a_stream_binds_by_the_one_that_it_uses() -> None:
    async def main() -> None:
        async with Node("p") as p, Node("c") as c:
            stream = p.add_stream("jobs", groups=["g"])
            begun, go_on, calls = asyncio.Event(), asyncio.Event(), []

            async def work(message: str) -> None:
                calls.append(message)
                begun.set()
                await go_on.wait()

            other = stream.endpoints[0].replace("127.0.0.1", "localhost")  # not seen to be the same
            consumer = c.add_consumer("jobs", work, group="g", bindings=["a"], connect=[other])
            await until(lambda: len(consumer._sessions.connected) == 2)
            await consumer.ready()
            for message in ("slow", "second", "third"):
                stream.send(message, key="a")
            async with asyncio.timeout(seconds(5)):
                await begun.wait()
            for key in "bcd":
                consumer.rebind(["a", key])
                await until(partial(is_bound, stream, key))
            go_on.set()
            async with asyncio.timeout(seconds(5)):
                await stream.drained()
            assert calls == ["slow", "second", "third"]
            assert (stream.stats.dead, stream.groups["g"].redelivered) == (0, 0)

    run(main())


def test_a_consumer_binds_at_a_stream_that_is_no_longer_advertised_but_still_connected() -> None:
    async def main() -> None:
        async with Node("p") as p, Node("c") as c:
            stream = p.add_stream("jobs")
            begun, go_on, calls = asyncio.Event(), asyncio.Event(), []

            async def work(message: str) -> None:
                calls.append(message)
                begun.set()
                await go_on.wait()

            consumer = c.add_consumer("jobs", work, group="g", bindings=["a"])
            await consumer.ready()
            for message in ("slow", "second", "third"):
                stream.send(message, key="a")
            async with asyncio.timeout(seconds(5)):
                await begun.wait()
            consumer._sessions._on_change(DirectoryChange.DOWN, consumer._sessions.connected[0].peer)
            consumer.rebind(["a", "b"])
            go_on.set()
            async with asyncio.timeout(seconds(5)):
                await stream.drained()
            assert calls == ["slow", "second", "third"]
            assert stream.groups["g"].redelivered == 0

    run(main())


def test_bindings_that_break_the_rules_are_refused_and_a_closed_consumer_binds_no_more() -> None:
    async def main() -> None:
        async with Node("c") as c:
            consumer = c.add_consumer("jobs", print)
            with pytest.raises(ConfigurationError):
                consumer.rebind([])
            with pytest.raises(ConfigurationError):
                consumer.rebind("a")
            assert consumer.bindings == ("#",)
            consumer.close()
            with pytest.raises(ClosedError):
                consumer.rebind(["a"])

    run(main())


def test_a_consumer_may_bind_from_another_thread_before_it_is_connected() -> None:
    async def main() -> None:
        async with Node("c") as c:
            got = Collector()
            consumer = c.add_consumer("jobs", got, bindings=["a"])
            thread = threading.Thread(target=consumer.rebind, args=(["b"],))
            thread.start()
            await asyncio.to_thread(thread.join)
            await until(lambda: consumer.bindings == ("b",))
            async with Node("p") as p:
                stream = p.add_stream("jobs")
                stream.send("no", key="a")
                stream.send("yes", key="b")
                assert await got.reach(1) == ["yes"]

    run(main())


def test_with_any_a_group_that_ends_takes_no_message_along_that_nobody_has_had() -> None:
    """Another group had no use for it, which is no acknowledgement."""

    async def main() -> None:
        async with Node("p") as p, Node("c") as c:
            stream = p.add_stream("jobs", ack="any")
            a, b = Collector(), Collector()

            def refuse(message: Any, delivery: Delivery) -> None:
                a(message)
                delivery.nack(delay_ms=60_000)

            first = c.add_consumer("jobs", refuse, bindings=["a"], durable=False)
            await c.add_consumer("jobs", b, bindings=["b"], durable=False).ready()
            await first.ready()
            await stream.send_wait("precious", key="a")
            await a.reach(1)
            first.close()
            await until(lambda: stream.consumers == 1)
            await stream.send_wait("other", key="b")
            await b.reach(1)
            await until(lambda: stream.stats.messages == 1)
            third = Collector()
            c.add_consumer("jobs", third, bindings=["a"], durable=False)
            assert await third.reach(1) == ["precious"]

    run(main())


def test_a_stream_tells_how_many_groups_listen_to_a_key() -> None:
    async def main() -> None:
        async with Node("p") as p, Node("c") as c:
            stream = p.add_stream("jobs", groups=["away"])
            assert stream.listeners("lab.door") == 0
            await c.add_consumer("jobs", print, bindings=["lab.*"]).ready()
            second = c.add_consumer("jobs", print, group="g", bindings=["lab.door"])
            await second.ready()
            assert (stream.listeners("lab.door"), stream.listeners("lab.x"), stream.listeners()) == (2, 1, 0)
            second.close()
            await until(lambda: stream.listeners("lab.door") == 1)

    run(main())


@pytest.mark.parametrize("ack", ["all", "any"])
@pytest.mark.parametrize("durable", [True, False])
def test_a_group_that_comes_later_gets_nothing_that_is_done_with(ack: Any, *, durable: bool) -> None:
    async def main() -> None:
        async with Node("p") as p, Node("c") as c:
            stream = p.add_stream("jobs", ack=ack)
            first, second = Collector(), Collector()
            consumer = c.add_consumer("jobs", first, group="first" if durable else None, durable=durable)
            await consumer.ready()
            for n in range(10):
                await stream.send_wait(f"old {n}")
            await first.reach(10)
            async with asyncio.timeout(seconds(5)):
                await stream.drained()
            consumer.close()
            await until(lambda: stream.consumers == 0)
            later = c.add_consumer("jobs", second, group="second" if durable else None, durable=durable)
            await later.ready()
            await stream.send_wait("new")
            assert await second.reach(1) == ["new"]

    run(main())


def test_a_group_that_joins_when_a_message_has_just_been_acknowledged_does_not_get_it() -> None:
    """Its removal is not written yet."""

    async def main() -> None:
        async with Node("p") as p, Node("c") as c:
            stream = p.add_stream("jobs", ack="any")
            first, second = Collector(), Collector()
            consumer = c.add_consumer("jobs", first, durable=False)
            await consumer.ready()
            for n in range(50):
                stream.send(f"old {n}")
            await first.reach(50)
            await until(lambda: stream._scheduler.writer.deletes or stream.stats.messages == 0)
            stream._scheduler.groups.make_group("late", ["#"], durable=False)
            c.add_consumer("jobs", second, group="late", durable=False)
            consumer.close()  # else it might have the new one acknowledged before the late one has joined
            await until(lambda: stream.stats.messages == 0)
            await stream.send_wait("new")
            got = await second.reach(1)
            assert got[-1] == "new"
            assert "old 0" not in got

    run(main())
