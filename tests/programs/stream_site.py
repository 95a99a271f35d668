"""A node with a stream of which some messages are dead letters, as `colugo stream` is to find it.

Options: `node`, `topic`, `store`, `groups`: that are kept for; `poison`: how many messages `billing` cannot
handle; `keep`: whether a consumer of it stays.
"""

import asyncio
import json
import sys
from typing import Any

from colugo import Node
from tests.support.essentials import until


def work(message: str) -> None:
    """Fail at what is poison."""
    if message.startswith("poison"):
        raise ValueError(f"no such article: {message}")


async def main(options: dict[str, Any]) -> None:
    """Send, let the group fail, and stay."""
    poison = options.get("poison", 0)
    async with Node(options["node"]) as node:
        stream = node.add_stream(
            options["topic"], store=options.get("store"), groups=options.get("groups", ()), max_deliver=1
        )
        consumer = node.add_consumer(options["topic"], work, group="billing")
        await stream.ready()
        ids = [await stream.send_wait("fine", key="order.fine", headers={"n": 1})]
        ids += [await stream.send_wait(f"poison {number}", key=f"order.{number}") for number in range(poison)]
        await until(lambda: stream.stats.dead == poison and stream.groups["billing"].done == len(ids))
        if not options.get("keep"):
            consumer.close()
            await until(lambda: not stream.consumers)
        print(f"begun {json.dumps({'ids': ids, 'stream': stream.stream_id})}", flush=True)
        await asyncio.Event().wait()


asyncio.run(main(json.loads(sys.argv[1])))
