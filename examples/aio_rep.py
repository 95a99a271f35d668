"""An asyncio reply server: the callback is a coroutine that returns the reply.

    python examples/aio_rep.py
    python examples/aio_req.py      in a second terminal; examples/req.py works, too

Each request takes a tenth of a second; the server handles requests concurrently.
"""

import asyncio
import contextlib
import logging

from colugo import Node


async def answer(message: str) -> str:
    print(f"working on {message}")
    await asyncio.sleep(0.1)
    return message.upper()


async def main() -> None:
    async with Node("aio_rep") as node:
        node.add_reply_server("rpc.topic", answer)
        await node.wait_closed()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())
