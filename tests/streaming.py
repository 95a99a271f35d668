"""What tests of streams share."""

import asyncio

from colugo import Stream
from tests.support import seconds


async def drained(stream: Stream, within: float = 10.0) -> None:
    """Return when all messages have been acknowledged, in time."""
    async with asyncio.timeout(seconds(within)):
        await stream.drained()
