"""A publisher that sends many messages at SIGUSR1, and a few more at the next one."""

import asyncio
import json
import signal
import sys
from typing import Any

from colugo import Node
from colugo.patterns.pubsub.publisher import Publisher
from tests.support.essentials import until

TAIL = 10
"""How many messages follow the flood."""


def message(number: int, size: int) -> bytes:
    """One with its number, and a buffer of its own."""
    return number.to_bytes(8, "little") + bytes(size - 8)


async def send(publisher: Publisher, numbers: range, *, size: int, a_turn: int) -> None:
    """Send messages, so many in each turn of the loop."""
    for number in numbers:
        publisher.send(message(number, size))
        if number % a_turn == 0:
            await asyncio.sleep(0)


async def main(options: dict[str, Any]) -> None:
    """Wait, flood, wait, send the tail, wait to be killed."""
    told = asyncio.Queue[None]()
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, told.put_nowait, None)
    count, size, a_turn = options["count"], options["size"], options.get("a_turn", 100)
    async with Node("flood") as node:
        publisher = node.add_publisher("t", **options.get("publisher", {}))
        await publisher.ready(options.get("readers", 1))
        print("ready", flush=True)
        await told.get()
        await send(publisher, range(count), size=size, a_turn=a_turn)
        print(
            "sent", json.dumps({"sent": publisher.stats.sent, "behind": publisher.stats.behind}), flush=True
        )
        await told.get()
        # the subscriber has counted its loss, but its acknowledgement may still be on the way
        await until(lambda: not publisher.stats.behind)
        await send(publisher, range(count, count + TAIL), size=size, a_turn=a_turn)
        print("tail", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
