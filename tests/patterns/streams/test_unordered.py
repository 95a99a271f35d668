"""Streams whose keys only select groups (`order="none"`)."""

import asyncio
from typing import Any

from colugo import Delivery, Node
from tests.support.essentials import Collector, run, seconds
from tests.support.streaming import drained


def test_members_share_the_messages_of_one_key() -> None:
    async def main() -> None:
        async with Node("p") as p, Node("c") as c:
            stream = p.add_stream("bus", order="none")
            got = [Collector() for _ in range(4)]
            for collector in got:
                c.add_consumer("bus", collector, group="g", prefetch=10)
            await stream.ready(4)
            for n in range(1000):
                stream.send(str(n), key="clock.SecondTicked")
            await drained(stream)
            assert sorted((item for one in got for item in one.items), key=int) == [
                str(n) for n in range(1000)
            ]
            assert min(len(one.items) for one in got) >= 150

    run(main())


def test_a_member_that_does_not_answer_holds_up_only_what_it_has() -> None:
    async def main() -> None:
        async with Node("p") as p, Node("c") as c:
            stream = p.add_stream("bus", order="none")
            held, got = list[Delivery](), Collector()

            def hold(message: Any, delivery: Delivery) -> None:
                held.append(delivery)

            c.add_consumer("bus", hold, group="g", auto_ack=False, prefetch=1)
            c.add_consumer("bus", got, group="g", prefetch=1)
            await stream.ready(2)
            for n in range(20):
                stream.send(str(n), key="k")
            await got.reach(19)
            held[0].ack()
            await drained(stream)

    run(main())


def test_one_consumer_handles_messages_of_a_key_at_the_same_time() -> None:
    async def main() -> None:
        async with Node("n") as node:
            stream = node.add_stream("bus", order="none")
            together = asyncio.Barrier(3)

            async def meet(message: Any) -> None:
                await together.wait()

            node.add_consumer("bus", meet, concurrency=3)
            for n in range(6):
                stream.send(str(n), key="k")
            async with asyncio.timeout(seconds(5)):
                await stream.drained()

    run(main())
