"""Nodes with respondents. Options: `topic`, `label`, `nodes`, `each` of a node, `wait_ms` to answer."""

import asyncio
import json
import sys
from contextlib import AsyncExitStack
from typing import Any

from colugo import Node


async def main(options: dict[str, Any]) -> None:
    """Answer until it is killed."""
    wait_s = options.get("wait_ms", 0) / 1000

    async def later(message: str) -> str:
        await asyncio.sleep(wait_s)
        return message

    async with AsyncExitStack() as stack:
        for number in range(options.get("nodes", 1)):
            node = Node(f"{options['label']}{number}")
            for _ in range(options.get("each", 1)):
                node.add_respondent(options["topic"], later if wait_s else lambda message: message)
            await stack.enter_async_context(node)
        print("ready", flush=True)
        await asyncio.Event().wait()


asyncio.run(main(json.loads(sys.argv[1])))
