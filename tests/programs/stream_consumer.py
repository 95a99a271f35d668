"""A consumer that says what it gets.

Options: `topic`, `group`, `prefetch`, `poison`: a message that ends the process at once, `wait_ms` for each.
"""

import asyncio
import json
import os
import signal
import sys
from typing import Any

from colugo import Delivery, Node


async def main(options: dict[str, Any]) -> None:
    """Consume until killed."""

    async def work(message: str, delivery: Delivery) -> None:
        got = {"message": message, "attempt": delivery.attempt, "redelivered": delivery.redelivered}
        print(f"got {json.dumps(got)}", flush=True)
        if message == options.get("poison"):
            os.kill(os.getpid(), signal.SIGKILL)
        await asyncio.sleep(options.get("wait_ms", 0) / 1000)

    async with Node("consumer") as node:
        consumer = node.add_consumer(
            options["topic"], work, group=options.get("group", "g"), prefetch=options.get("prefetch", 100)
        )
        await consumer.ready()
        print("ready", flush=True)
        await asyncio.Event().wait()


asyncio.run(main(json.loads(sys.argv[1])))
