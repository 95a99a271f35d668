"""Publishes 1,000 readings ten times a second, at the pace of those who read them: none is lost.

    python examples/meter.py
    python examples/recorder.py      in a second terminal: writes them to a database

With flow="wait", send_wait() waits while a reader has as much to do as may wait for it. Only a reader that
does nothing at all for five seconds is left behind, and says so.
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
        await publisher.ready()  # nobody waits for readers that are not there
        for begin in itertools.count(0, BURST):
            for number in range(begin, begin + BURST):
                reading = (number, 20 + 5 * math.sin(number / 1000))
                try:
                    publisher.send(reading)
                except FlowError:  # a reader is too far behind
                    await publisher.send_wait(reading)
            print(f"sent {begin + BURST} readings to {publisher.subscribers} reader(s)")
            await asyncio.sleep(0.1)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())
