"""An asyncio request client: sends five concurrent requests every second and awaits the replies.

python examples/aio_req.py
python examples/aio_rep.py      in a second terminal; examples/rep.py works, too
"""

import asyncio
import contextlib
import logging
import time

from colugo import Node, RequestError


async def main() -> None:
    async with Node("aio_req") as node:
        client = node.add_request_client("rpc.topic")
        while True:
            began = time.perf_counter()
            try:
                replies = await asyncio.gather(*(client.request(f"Message {n}") for n in range(5)))
            except RequestError as error:
                print(f"no answer: {error}")
            else:
                print(f"got {', '.join(replies)} in {(time.perf_counter() - began) * 1000:.1f} ms")
            await asyncio.sleep(1)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())
