"""When messages of a soak are sent: in bursts of random sizes, at a given rate on the average."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable

_BEHIND_S = 1.0
"""Who could not keep the rate for longer does not make up for all of it."""


async def bursts(chance: random.Random, rate: float, most: int, enough: asyncio.Event) -> AsyncIterator[int]:
    """Sizes of bursts, each when it is due, until it is enough.

    Args:
        chance: decides on sizes.
        rate: messages a second.
        most: messages in a burst; most bursts are far smaller.
        enough: set when no more are wanted.
    """
    loop = asyncio.get_running_loop()
    due = loop.time()
    while not enough.is_set():
        size = 1 + int(most * chance.random() ** 3)
        yield size
        due = max(due, loop.time() - _BEHIND_S) + size / rate
        try:
            async with asyncio.timeout_at(due):
                await enough.wait()
        except TimeoutError:
            continue


async def send_all(size: int, at_a_time: int, send: Callable[[], Awaitable[None]]) -> None:
    """Send so many messages, some at a time."""
    for begin in range(0, size, at_a_time):
        await asyncio.gather(*(send() for _ in range(min(at_a_time, size - begin))))
