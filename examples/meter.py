"""A publisher with backpressure: 1,000 readings up to ten times a second, none of them lost.

    python examples/meter.py
    python examples/recorder.py      in a second terminal: writes them to a database

With flow="wait", send_wait() waits while a subscriber's queue is full. Only a subscriber that handles nothing
for five seconds is skipped, and reports its loss.
"""

import asyncio
import contextlib
import itertools
import logging
import math

from colugo import FlowError, Node

BURST = 1000


async def main() -> None:
    async with Node("meter") as node:
        publisher = node.add_publisher("meter.readings", codec="json", flow="wait")
        await publisher.ready()  # backpressure needs a connected subscriber
        for begin in itertools.count(0, BURST):
            for number in range(begin, begin + BURST):
                reading = (number, 20 + 5 * math.sin(number / 1000))
                try:
                    publisher.send(reading)
                except FlowError:  # a subscriber's queue is full
                    await publisher.send_wait(reading)
            print(f"sent {begin + BURST} readings to {publisher.subscribers} subscriber(s)")
            await asyncio.sleep(0.1)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())
