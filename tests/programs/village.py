"""Nodes on one loop, with sockets each, that tell when they know all of their network.

Options: `nodes` here, `sockets` of each, `all` the nodes of the network, `prefix` of their names. It waits
for a line on standard input before it makes them, and answers each further one with its CPU time.
"""

import asyncio
import json
import sys
import time
from contextlib import AsyncExitStack
from typing import Any

from colugo import Node

LOOK_S = 0.01


def tell(event: str, **details: Any) -> None:
    """Print what has happened."""
    print(event, json.dumps({"t": time.monotonic(), "cpu": time.process_time(), **details}), flush=True)


async def enter(stack: AsyncExitStack, name: str, sockets: int) -> Node:
    """Make a node whose sockets are publishers and, two of five, reply servers."""
    node = Node(name)
    for number in range(sockets):
        if number % 5 < 3:
            node.add_publisher(f"{name}.p{number}")
        else:
            node.add_reply_server(f"{name}.r{number}", lambda message: message)
    return await stack.enter_async_context(node)


async def main(options: dict[str, Any]) -> None:
    """Run them until standard input ends."""
    loop = asyncio.get_running_loop()
    tell("waiting")
    await asyncio.to_thread(sys.stdin.readline)
    expected = options["all"] * options["sockets"], options["all"]
    async with AsyncExitStack() as stack:
        tell("begins")
        nodes = [
            await enter(stack, f"{options['prefix']}{number}", options["sockets"])
            for number in range(options["nodes"])
        ]
        for node in nodes:
            while (known := (len(node.advertisements), len(node.nodes))) != expected:
                tell_every_second(known)
                await asyncio.sleep(LOOK_S)
        tell("complete")
        reader = asyncio.StreamReader()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while await reader.readline():
            tell("spent")


_told = [0.0]


def tell_every_second(known: tuple[int, int]) -> None:
    """Print details, to show why it is not complete."""
    if time.monotonic() - _told[0] > 1:
        _told[0] = time.monotonic()
        tell("knows", known=known)


asyncio.run(main(json.loads(sys.argv[1])))
