"""Two subscribers of one node: one is slow, and the other's latency is measured."""

import asyncio
import json
import sys
import time
from typing import Any

from colugo import MessageInfo, Node

SLOW_S = 0.2
QUEUE = 50


async def main(options: dict[str, Any]) -> None:
    """Measure until so many messages have come."""
    latencies: list[float] = []
    slow_calls = 0
    enough = asyncio.Event()

    async def awaiting(message: bytes) -> None:
        nonlocal slow_calls
        slow_calls += 1
        await asyncio.sleep(SLOW_S)

    def on_thread(message: bytes) -> None:
        nonlocal slow_calls
        slow_calls += 1
        time.sleep(SLOW_S)

    def quick(message: bytes, info: MessageInfo) -> None:
        assert info.sent_ns is not None
        latencies.append((time.time_ns() - info.sent_ns) / 1e6)
        if len(latencies) == options["count"]:
            enough.set()

    async with Node("isolated") as node:
        executor = options["slow"] == "on a thread"
        slow = node.add_subscriber(
            "slow", on_thread if executor else awaiting, queue=QUEUE, executor=executor
        )
        node.add_subscriber("quick", quick)
        await enough.wait()
        latencies.sort()
        numbers = {
            "p50": latencies[len(latencies) // 2],
            "p99": latencies[len(latencies) * 99 // 100],
            "most": latencies[-1],
            "slow calls": slow_calls,
            "slow received": slow.stats.received,
            "slow dropped": slow.stats.dropped,
            "slow lost": slow.stats.lost,
        }
        print("done", json.dumps(numbers), flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
