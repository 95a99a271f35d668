"""One connection to a WebSocket server, and what is heard of it."""

import asyncio
import time
from contextlib import suppress

from tornado.iostream import IOStream, StreamClosedError
from tornado.websocket import WebSocketClientConnection, WebSocketClosedError

VIOLATION = "the server sent text that is not UTF-8, an invalid frame, or more than max_message_bytes"
_FAREWELL_S = 1.0
_EMPTY_CLOSE = b"\x88\x00"
"""A close frame without a code (RFC 6455 section 5.5.1)."""
_MOST_REASON_BYTES = 123


class WebSocketWire:
    """One connection, and what is heard of it."""

    def __init__(self, connection: WebSocketClientConnection) -> None:
        assert connection.protocol is not None
        stream = connection.protocol.stream
        assert isinstance(stream, IOStream)
        self.connection = connection
        self.stream = stream
        self.last_heard = time.monotonic()
        self.held = False
        """True while a message is handed over: then nothing is read."""
        self.silent = False
        """True if the connection was given up because nothing was heard."""
        self.heard = True
        """True if something was heard since the last ping."""
        self._last_bytes = b""
        self._ended = False
        self._read_from_fd = stream.read_from_fd
        # Tornado's own pings take a pong that waits behind a long or unread message for a missing one, and
        # close a silent connection five seconds later. Each byte counts here, whatever it is part of.
        stream.read_from_fd = self._read  # type: ignore[method-assign, assignment]

    @property
    def cause(self) -> str:
        """The reason in words why the connection ended."""
        if self.connection.close_code is not None or self._last_bytes == _EMPTY_CLOSE:
            code, reason = self.connection.close_code, self.connection.close_reason
            return f"the server closed it with code {code} ({reason or 'no reason given'})"
        if self.stream.error is not None:
            return str(self.stream.error)
        if self._ended:
            return "the server ended it without a close frame"
        return VIOLATION  # Tornado has ended the connection, and does not tell why

    async def watch(self, interval_s: float) -> None:
        """Send a ping each interval, and drop the connection if nothing was heard until the next one."""
        with suppress(WebSocketClosedError, StreamClosedError):
            while not self.stream.closed():
                self.heard = False
                self.connection.ping()
                await asyncio.sleep(interval_s)
                if not self.heard and not self.held:
                    self.silent = True
                    self.stream.close()

    def farewell(self, code: int, reason: str) -> None:
        """Send a close frame."""
        may_be_sent = 1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999  # noqa: PLR2004
        text = reason.encode()[:_MOST_REASON_BYTES].decode(errors="ignore")
        self.connection.close(code if may_be_sent else 1000, text)

    async def end(self) -> None:
        """Wait for the server's close frame, and close the connection."""
        try:
            if not self.stream.closed():
                self.farewell(1000, "")
                with suppress(TimeoutError):
                    async with asyncio.timeout(_FAREWELL_S):
                        while await self.connection.read_message() is not None:
                            pass
        finally:
            self.connection.close()
            self.stream.close()

    def _read(self, buffer: bytearray | memoryview) -> int | None:
        count = self._read_from_fd(buffer)
        if count:
            self.heard = True
            self.last_heard = time.monotonic()
            self._last_bytes = bytes(buffer[max(0, count - 2) : count])
        elif count == 0:
            self._ended = True
        return count
