"""An asyncio subscriber: iterates over the messages of a topic.

python examples/aio_sub.py
python examples/aio_pub.py      in a second terminal; examples/pub.py works, too
"""

import asyncio
import contextlib
import logging

from colugo import Node


async def main() -> None:
    async with Node("aio_sub") as node:
        async for message in node.add_subscriber("pub.topic"):
            print(f"received {message}")


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())
