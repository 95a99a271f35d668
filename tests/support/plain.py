"""Plain ZeroMQ sockets, as programs in other languages have them, and strangers."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import zmq
import zmq.asyncio


@asynccontextmanager
async def plain_context() -> AsyncIterator[zmq.asyncio.Context]:
    """A context, which closes its sockets at its end and waits for nothing."""
    context = zmq.asyncio.Context()
    try:
        yield context
    finally:
        context.destroy(linger=0)


@asynccontextmanager
async def plain_socket(kind: int, endpoint: str) -> AsyncIterator[zmq.asyncio.Socket]:
    """A socket that is connected, or on its way.

    Args:
        kind: such as `zmq.DEALER`.
        endpoint: where to.
    """
    async with plain_context() as context:
        socket = context.socket(kind)
        socket.connect(endpoint)
        yield socket
