"""A request client under load until SIGHUP, whose callbacks hold the loop from SIGUSR1 to SIGUSR2."""

import asyncio
import json
import signal
import sys
from typing import Any

from colugo import Node
from colugo.errors import RequestError
from tests.programs.hold import Hold

UNDER_LOAD = 5000
AT_LAST = 100


async def main(options: dict[str, Any]) -> None:
    """Keep so many requests in flight; in the end, wait for all, and for some more."""
    hold = Hold()
    loaded, told, idle = asyncio.Event(), asyncio.Event(), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, told.set)
    message = bytes(options["request_bytes"])
    sent = ended = 0

    async with Node("client") as node:
        client = node.add_request_client(
            "t",
            lambda: print("connected", flush=True),
            on_disconnect=lambda peer, reason: print("disconnected", reason, flush=True),
        )

        def ask() -> None:
            nonlocal sent
            sent += 1
            client.send(message, on_end, 2000, on_end, on_error)

        def on_end(reply: bytes | RequestError) -> None:
            nonlocal ended
            ended += 1
            hold.here()
            if ended == UNDER_LOAD:
                loaded.set()
            if not told.is_set():
                ask()
            elif ended == sent:
                idle.set()

        def on_error(error: RequestError) -> None:
            on_end(error)

        await client.ready()
        for _ in range(options["in_flight"]):
            ask()
        await loaded.wait()
        print("under load", flush=True)
        await idle.wait()
        stats = client.stats
        await client.ready()
        last = await asyncio.gather(*(client.request(message, timeout_ms=5000) for _ in range(AT_LAST)))
        numbers = {
            "sent": stats.sent,
            "ended": ended,
            "replies": stats.replies,
            "timeouts": stats.timeouts,
            "lost": stats.lost,
            "late": stats.late,
            "malformed": stats.malformed,
            "pending": client.stats.pending,
            "answered at last": len(last),
        }
        print("done", json.dumps(numbers), flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
