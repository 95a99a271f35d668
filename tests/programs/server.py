"""A reply server whose callback holds the loop from SIGUSR1 to SIGUSR2."""

import asyncio
import json
import sys
from typing import Any

from colugo import Node
from tests.programs.hold import Hold


async def main(options: dict[str, Any]) -> None:
    """Serve until killed."""
    hold = Hold()
    reply = bytes(options["reply_bytes"])

    def serve(message: bytes) -> bytes:
        hold.here()
        return reply

    async with Node("server") as node:
        node.add_reply_server("t", serve)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
