"""The schedule of a soak's messages: bursts of random sizes, at a given average rate."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable

_BEHIND_S = 1.0
"""The maximum delay that a sender makes up for."""


async def bursts(chance: random.Random, rate: float, most: int, enough: asyncio.Event) -> AsyncIterator[int]:
    """Yield the sizes of bursts, each when it is due, until `enough` is set.

    Args:
        chance: the random generator of sizes.
        rate: messages per second.
        most: the maximum number of messages in a burst; most bursts are far smaller.
        enough: set it to stop.
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
    """Send a number of messages, some of them concurrently."""
    for begin in range(0, size, at_a_time):
        await asyncio.gather(*(send() for _ in range(min(at_a_time, size - begin))))
