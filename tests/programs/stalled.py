"""A subscriber whose callback holds the loop from SIGUSR1 to SIGUSR2."""

import asyncio
import json
import logging
import sys
from typing import Any

from colugo import Node
from tests.programs.hold import Hold


async def main(options: dict[str, Any]) -> None:
    """Count until all that was sent is accounted for, then the same with the tail."""
    hold = Hold()
    last = -1
    got = disorder = 0

    def on_message(message: bytes) -> None:
        nonlocal last, got, disorder
        number = int.from_bytes(message[:8], "little")
        disorder += number <= last
        last = number
        got += 1
        hold.here()

    async with Node("stalled") as node:
        subscriber = node.add_subscriber(
            "t",
            on_message,
            lambda: print("connected", flush=True),
            on_disconnect=lambda peer, reason: print("disconnected", reason, flush=True),
            **options.get("subscriber", {}),
        )
        node.add_repeater(5, hold.here)
        for name, expected in options["until"].items():
            while True:
                stats = subscriber.stats
                if stats.received + stats.lost + stats.conflated >= expected:
                    break
                await asyncio.sleep(0.01)
            numbers = {
                "received": stats.received,
                "lost": stats.lost,
                "conflated": stats.conflated,
                "duplicates": stats.duplicates,
                "unknown": stats.unknown,
                "malformed": stats.malformed,
                "got": got,
                "last": last,
                "disorder": disorder,
            }
            print(name, json.dumps(numbers), flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="log %(message)s")
    asyncio.run(main(json.loads(sys.argv[1])))
