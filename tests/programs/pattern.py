"""A subscriber of a pattern: when all publishers are connected, and when each has sent something."""

import asyncio
import json
import sys
import time
from typing import Any

from colugo import MessageInfo, Node


async def main(options: dict[str, Any]) -> None:
    """Wait for them, for their messages, and to be killed."""
    count = options["count"]
    topics: set[str] = set()
    complete = asyncio.Event()

    def on_message(message: bytes, info: MessageInfo) -> None:
        topics.add(info.topic)
        if len(topics) == count:
            complete.set()

    async with Node("pattern") as node:
        subscriber = node.add_subscriber("lab.#", on_message)
        print("waiting", flush=True)
        await subscriber.ready(count)
        print("all", json.dumps({"at": time.time()}), flush=True)
        await complete.wait()
        print("complete", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
