"""Helpers of the tests of streams."""

import asyncio
from typing import Any

from colugo import Stream
from colugo.protocol.frames import FrameKind
from colugo.protocol.membership.control import decode_body, decode_control, encode_bare, encode_control
from colugo.protocol.streams.joining import Join, Joined
from tests.support.essentials import seconds

JOIN = Join(
    consumer="0123456789abcdef",
    group="g",
    named=True,
    durable=True,
    bindings=["#"],
    prefetch=10,
    node="stranger",
)
PING = encode_bare(FrameKind.PING)


async def receive(socket: Any) -> bytes:
    """Return the next frame, except pings: one comes whenever some connection ends."""
    async with asyncio.timeout(seconds(5)):
        while (frame := bytes(await socket.recv())) == PING:
            pass
        return frame


async def joined(socket: Any, join: Join = JOIN) -> bytes:
    await socket.send(encode_control(FrameKind.JOIN, join))
    kind, body = FrameKind.REFUSAL, b""
    while kind is FrameKind.REFUSAL:  # of what was sent before
        kind, body = decode_control(await receive(socket))
    assert kind is FrameKind.JOINED
    return bytes.fromhex(decode_body(body, Joined).stream)


async def drained(stream: Stream, within: float = 10.0) -> None:
    """Wait until all messages have been acknowledged, with a deadline."""
    async with asyncio.timeout(seconds(within)):
        await stream.drained()
