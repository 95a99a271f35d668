"""A distributor: alerts of one source reach three targets, of which one is unreliable and one is too slow.

    python examples/alerts.py

It needs no other program. Subscribers of the topic `alerts` receive the alerts, too. Every two seconds it
prints what has become of them at each target.
"""

import asyncio
import contextlib
import logging
import random
import time
from datetime import UTC, datetime
from typing import Any

from colugo import Node
from colugo.distributor import (
    Distributor,
    GraphiteFormatter,
    LoopSource,
    TargetOptions,
    ThreadedDistributionTarget,
    TopicTarget,
)


class Market(LoopSource):
    """A source: a coroutine that gives messages."""

    async def listen(self) -> None:
        price = 60_000.0
        while True:
            price += random.choice((-0.5, 0.5))  # noqa: S311 - no secret
            await self.emit(
                {
                    "name": "example",
                    "symbol": "MARKET:BTCUSD",
                    "interval": 1,
                    "direction": random.choice(("buy", "sell")),  # noqa: S311 - the same
                    "price": price,
                    "timestamp": datetime.now(UTC).isoformat(),
                }
            )
            await asyncio.sleep(0.2)


class Screen(ThreadedDistributionTarget):
    """A target: a method that is called with each message, on a thread."""

    def process(self, message: str) -> None:
        print(message.replace("\n", "; "), flush=True)


class Unreliable(ThreadedDistributionTarget):
    """Fails with every third message. The distributor tries it again."""

    calls = 0

    def process(self, message: Any) -> None:
        del message
        self.calls += 1
        if self.calls % 3 == 0:
            raise ConnectionError("the server does not answer")


class Slow(ThreadedDistributionTarget):
    """Takes a second for each message, so its queue of two is always full."""

    def process(self, message: Any) -> None:
        del message
        time.sleep(1)


async def main() -> None:
    async with Node("alerts") as node:
        distributor = Distributor(node)
        distributor.add_source(Market(), name="market")
        distributor.add_target(Screen(poolsize=1), name="screen", formatter=GraphiteFormatter())
        distributor.add_target(TopicTarget("alerts"), name="topic")
        distributor.add_target(Unreliable(), name="unreliable", options=TargetOptions(retries=3, retry_ms=50))
        distributor.add_target(Slow(poolsize=1), name="slow", options=TargetOptions(queue=2))
        distributor.connect()
        running = asyncio.create_task(distributor.run())
        try:
            while True:
                await asyncio.sleep(2)
                for name, stats in distributor.stats.items():
                    print(
                        f"{name}: {stats.completed} sent, {stats.retried} retried, {stats.dropped} dropped",
                        flush=True,
                    )
        finally:
            await distributor.shutdown(drain_ms=500)
            await running


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())
