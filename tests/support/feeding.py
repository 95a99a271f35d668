"""Helpers of the tests of sources: a WebSocket server, and connections that fall silent."""

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application
from tornado.websocket import WebSocketHandler

from colugo.distributor import AbstractDistributionSource
from tests.support.essentials import Collector, seconds
from tests.support.tcp_cable import TcpCable


class Messages(Collector):
    """A function for `set_on_message` that keeps the messages."""

    async def take(self, message: object) -> None:
        self(message)


@asynccontextmanager
async def opened(source: AbstractDistributionSource) -> AsyncIterator[Messages]:
    """Open a source, give its messages, and close it."""
    messages = Messages()
    source.set_on_message(messages.take)
    source.open()
    try:
        yield messages
    finally:
        source.close()
        # Tornado and asyncio close in the turns that follow.
        others = asyncio.all_tasks() - {asyncio.current_task()}
        if others:
            await asyncio.wait(others, timeout=seconds(0.05))


class Feed:
    """A WebSocket server."""

    def __init__(self) -> None:
        self.port = 0
        self.connections: list[FeedHandler] = []
        """All connections so far; the last is the newest."""
        self.received: list[str | bytes] = []
        self._changed = asyncio.Event()

    def note(self) -> None:
        self._changed.set()

    async def connected(self, n: int, within: float = 10.0) -> "FeedHandler":
        """Return the n-th connection, from 1."""
        async with asyncio.timeout(seconds(within)):
            while len(self.connections) < n:
                self._changed.clear()
                await self._changed.wait()
        return self.connections[n - 1]


class FeedHandler(WebSocketHandler):
    """One connection of a `Feed`."""

    def initialize(self, feed: Feed) -> None:
        self.feed = feed
        self.pings = 0
        self.ended = asyncio.Event()

    def open(self, *args: str, **kwargs: str) -> None:
        self.feed.connections.append(self)
        self.feed.note()

    def on_message(self, message: str | bytes) -> None:
        self.feed.received.append(message)
        self.feed.note()

    def on_ping(self, data: bytes) -> None:
        self.pings += 1

    def on_close(self) -> None:
        self.ended.set()

    def select_subprotocol(self, subprotocols: list[str]) -> str | None:
        return subprotocols[-1] if subprotocols else None

    def send_invalid_text(self) -> None:
        assert self.ws_connection is not None
        self.ws_connection._write_frame(True, 0x1, b"caf\xe9")  # type: ignore[attr-defined]


@asynccontextmanager
async def feed_server(certificate: tuple[Path, Path] | None = None) -> AsyncIterator[Feed]:
    """Run a WebSocket server at a free port."""
    feed = Feed()
    context = None
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
    application = Application([("/.*", FeedHandler, {"feed": feed})], log_function=lambda _: None)
    server = HTTPServer(application, ssl_options=context)
    sockets = bind_sockets(0, "127.0.0.1")
    server.add_sockets(sockets)
    feed.port = sockets[0].getsockname()[1]
    try:
        yield feed
    finally:
        server.stop()
        for connection in feed.connections:
            connection.close()
            if connection.ws_connection is not None and connection.ws_connection.stream is not None:
                connection.ws_connection.stream.close()
        await server.close_all_connections()


class SilentCable(TcpCable):
    """A TCP connection through the test, which can fall silent without an end."""

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self._silenced: set[asyncio.StreamReader] = set()
        self._readers: set[asyncio.StreamReader] = set()

    def silence(self) -> None:
        """Forward nothing more of the connections that are there; their ends notice nothing."""
        self._silenced |= self._readers

    async def _copy(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        self._readers.add(source)
        try:
            while data := await source.read(65536):
                if source not in self._silenced:
                    sink.write(data)
                    await sink.drain()
        except ConnectionError:
            pass
        if source not in self._silenced:
            sink.close()


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """Make a certificate of 127.0.0.1, which trusts itself, and return it with its key."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=test"
    )
    extension = "subjectAltName=IP:127.0.0.1"
    subprocess.run(
        [*command.split(), "-addext", extension, "-keyout", str(key), "-out", str(certificate)],
        check=True,
        capture_output=True,
    )
    return certificate, key
