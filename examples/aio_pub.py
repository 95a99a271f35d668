"""An asyncio publisher: waits for a subscriber, then sends a message every second.

python examples/aio_pub.py
python examples/aio_sub.py      in a second terminal; examples/sub.py works, too
"""

import asyncio
import contextlib
import itertools
import logging

from colugo import Node


async def main() -> None:
    async with Node("aio_pub") as node:
        publisher = node.add_publisher("pub.topic")
        print("waiting for a subscriber")
        await publisher.ready()
        for number in itertools.count():
            print(f"sending Message {number} to {publisher.subscribers} subscriber(s)")
            publisher.send(f"Message {number}")
            await asyncio.sleep(1)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())
