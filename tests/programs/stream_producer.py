"""A stream that sends numbers, and says of each when it has been stored.

Options: `topic`, `store`, `groups`, `messages`, `then`: `drain`, `end`, or stay; `marks`: whether to write to
descriptor 2 what was stored, at once, so that a trace of system calls shows it.
"""

import asyncio
import json
import os
import sys
from typing import Any

from colugo import Node


async def main(options: dict[str, Any]) -> None:
    """Send, then wait."""
    async with Node("producer") as node:
        stream = node.add_stream(
            options["topic"],
            store=options.get("store"),
            groups=options.get("groups", ()),
            max_deliver=options.get("max_deliver", 2),
            ack_timeout_ms=options.get("ack_timeout_ms", 30_000),
        )
        print(f"kept {json.dumps({'messages': stream.stats.messages})}", flush=True)
        for number in range(options.get("messages", 0)):
            text = f"message-{number:06}"
            await stream.send_wait(text)
            if options.get("marks"):
                os.write(2, f"stored {text}\n".encode())
        print("sent", flush=True)
        if options.get("then") == "drain":
            await stream.drained()
            stats = stream.stats
            print(f"drained {json.dumps({'dead': stats.dead, 'messages': stats.messages})}", flush=True)
        elif options.get("then") != "end":
            await asyncio.Event().wait()


asyncio.run(main(json.loads(sys.argv[1])))
