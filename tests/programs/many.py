"""A node with many publishers: how soon they are up, and what memory they take. Each sends at SIGUSR1."""

import asyncio
import json
import signal
import sys
import time
from typing import Any

import psutil

from colugo import Node


async def main(options: dict[str, Any]) -> None:
    """Make them, start, send when told, and wait to be killed."""
    count = options["count"]
    told = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, told.set)
    process = psutil.Process()
    async with Node("warm"):  # what the first node of a process loads is not theirs
        pass
    memory, began = process.memory_info().rss, time.time()
    node = Node("many")
    publishers = [node.add_publisher(f"lab.sensor{number}") for number in range(count)]
    async with node:
        up = time.time()
        print("up", json.dumps({"began": began, "up_s": up - began}), flush=True)
        for publisher in publishers:
            await publisher.ready()
        bytes_each = (process.memory_info().rss - memory) / count
        print("ready", json.dumps({"ready_s": time.time() - began, "bytes_each": bytes_each}), flush=True)
        await told.wait()
        for publisher in publishers:
            publisher.send(b"21.5")
        print("sent", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
