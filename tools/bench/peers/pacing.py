"""A fixed rate: so many messages at every millisecond, and what is late at once."""

import asyncio
import time
from collections.abc import Awaitable, Callable

TICK_S = 0.001
_START_S = 0.01


def pace(send: Callable[[bytes], object], make: Callable[[], bytes], ticks: int, per_tick: int) -> None:
    """Send from this thread, and sleep between the ticks."""
    start = time.monotonic() + _START_S
    for tick in range(ticks):
        wait = start + tick * TICK_S - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        for _ in range(per_tick):
            send(make())


async def pace_on_loop(
    send: Callable[[bytes], object], make: Callable[[], bytes], ticks: int, per_tick: int
) -> None:
    """Send from this loop, which is free between the ticks.

    Args:
        send: what it returns is awaited, if it can be.
        make: makes a message.
        ticks: how many milliseconds.
        per_tick: messages of each.
    """
    start = time.monotonic() + _START_S
    for tick in range(ticks):
        wait = start + tick * TICK_S - time.monotonic()
        if wait > 0:
            await asyncio.sleep(wait)
        for _ in range(per_tick):
            sent = send(make())
            if isinstance(sent, Awaitable):
                await sent
