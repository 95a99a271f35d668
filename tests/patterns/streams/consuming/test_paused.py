"""Consumers that join their group paused, and take messages later."""

import asyncio

import pytest

from colugo import ClosedError, Node
from tests.support.essentials import Collector, run, seconds, until
from tests.support.streaming import drained


def test_a_paused_consumer_makes_its_group_known_and_takes_messages_once_it_is_resumed() -> None:
    async def main() -> None:
        async with Node("p") as p, Node("c") as c:
            stream = p.add_stream("bus")
            got, others = Collector(), Collector()
            consumer = c.add_consumer("bus", got, group="g", bindings=["a.#"], paused=True)
            c.add_consumer("bus", others, group="others", bindings=["b"])
            await consumer.ready()
            await stream.ready(2)
            for key in ("a.1", "b", "a.2"):
                stream.send(key, key=key)
            await others.reach(1)
            await until(lambda: stream.stats.messages == 2)
            assert (got.items, stream.stats.unrouted, stream.groups["g"].in_flight) == ([], 0, 0)
            consumer.resume()
            consumer.resume()
            assert await got.reach(2) == ["a.1", "a.2"]
            await drained(stream)

    run(main())


def test_a_message_that_another_member_was_lost_with_does_not_go_to_a_paused_one() -> None:
    async def main() -> None:
        async with Node("p") as p, Node("c") as c:
            stream = p.add_stream("bus")
            idle, busy, careful = Collector(), Collector(), Collector()
            c.add_consumer("bus", idle, group="g", paused=True)

            async def hold(message: str) -> None:
                busy(message)
                await asyncio.Event().wait()

            first = c.add_consumer("bus", hold, group="g")
            await stream.ready(2)
            stream.send("x")
            await busy.reach(1)
            c.add_consumer("bus", careful, group="g")
            await stream.ready(3)
            first.close()
            assert await careful.reach(1) == ["x"]
            await drained(stream)
            assert idle.items == []

    run(main())


def test_a_paused_consumer_stays_paused_at_a_stream_that_restarts() -> None:
    async def main() -> None:
        async with Node("c") as c:
            got = Collector()
            consumer = c.add_consumer("bus", got, group="g", paused=True)
            for n in range(2):
                async with Node("p") as p:
                    stream = p.add_stream("bus")
                    await stream.ready()
                    await stream.send_wait(str(n))
                    await until(lambda stream=stream: stream.groups["g"].waiting == 1)  # type: ignore[misc]
                    assert got.items == []
                    if n:
                        consumer.resume()
                        await drained(stream)
            assert got.items == ["1"]

    run(main())


def test_a_consumer_resumed_before_it_is_connected_takes_messages() -> None:
    async def main() -> None:
        async with Node("p") as p, Node("c") as c:
            got = Collector()
            consumer = c.add_consumer("bus", got, group="g", paused=True)
            consumer.resume()
            p.add_stream("bus").send("x")
            async with asyncio.timeout(seconds(5)):
                assert await got.reach(1) == ["x"]
            consumer.close()
            await until(lambda: consumer.closed)
            with pytest.raises(ClosedError):
                consumer.resume()

    run(main())
