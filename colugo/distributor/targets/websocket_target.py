"""The target that is a WebSocket server."""

import asyncio
import re
import socket
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.iostream import IOStream
from tornado.web import Application
from tornado.websocket import WebSocketClosedError, WebSocketHandler

from colugo.distributor.base import AbstractDistributionTarget
from colugo.distributor.endpoint_log import EndpointLog
from colugo.distributor.formatters.formatter import IFormatter
from colugo.distributor.port import check_port
from colugo.distributor.targets.payload import as_json
from colugo.errors import ConfigurationError

_PING_S = 20
_MOST_BYTES = 65_536
"""The longest message of a client, all of which are ignored."""
_GOING_AWAY = 1001
"""RFC 6455, section 7.4.1."""


class WebSocketTarget(AbstractDistributionTarget):
    """Serves WebSocket connections, each of which gets all messages from then on.

    It works on the loop, not on threads. Bytes are sent as a binary message, text as a text message, and
    other objects as JSON text. A client that does not keep up is disconnected. A browser's page of another
    origin is refused (RFC 6455, section 10.2).

    Args:
        port: where it listens; 0 for a free one.
        host: the address it listens on; "0.0.0.0" or "::" for all.
        path: the path of the URL.
        max_queued: messages that may wait for one client.

    Raises:
        ConfigurationError: if an argument cannot work.
    """

    formatter: IFormatter | None = None
    """The formatter of messages; None to send them as they are."""

    def __init__(
        self, port: int, host: str = "127.0.0.1", *, path: str = "/", max_queued: int = 1000
    ) -> None:
        if not path.startswith("/"):
            raise ConfigurationError(f"path must begin with a slash, not {path!r}")
        if max_queued < 1:
            raise ConfigurationError(f"max_queued must be an integer ≥ 1, not {max_queued!r}")
        self.port = check_port(port)
        """The port; after `open` the one it listens on."""
        self.disconnected = 0
        """Clients that were disconnected because they did not keep up."""
        self._host = host
        self._path = path
        self._max_queued = max_queued
        self._server: HTTPServer | None = None
        self._clients: set[_Client] = set()
        self._log = EndpointLog(f"the WebSocket at port {port}")

    @property
    def clients(self) -> int:
        """The number of connected clients."""
        return len(self._clients)

    def open(self) -> None:
        """Listen, on the running loop.

        Raises:
            OSError: if the port cannot be bound; the next message tries again.
        """
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        listener = socket.create_server((self._host, self.port), family=family)
        listener.setblocking(False)
        self.port = listener.getsockname()[1]
        application = Application(
            [(re.escape(self._path), _Client, {"clients": self._clients})],
            websocket_ping_interval=_PING_S,
            websocket_max_message_size=_MOST_BYTES,
        )
        self._server = HTTPServer(application)
        self._server.add_socket(listener)

    def close(self, code: int = -1, reason: str = "") -> None:  # noqa: ARG002 - the clients get a code of theirs
        """Listen no longer, and close all connections.

        Args:
            code: the cause.
            reason: the cause in words, for the clients.
        """
        server, self._server = self._server, None
        if server is not None:
            server.stop()
        for client in tuple(self._clients):
            client.close(_GOING_AWAY, reason[:100])

    def on_message(self, message: Any) -> None:
        """Format a message and send it.

        Args:
            message: the message.
        """
        self.process(message if self.formatter is None else self.formatter.format(message))

    def process(self, message: Any) -> None:
        """Send a message to all clients.

        Args:
            message: the message.

        Raises:
            OSError: if the port cannot be bound.
            TypeError: if an object cannot be encoded as JSON.
        """
        if self._server is None:
            self.open()
        data = as_json(message)
        for client in tuple(self._clients):
            if not client.send(data, self._max_queued):
                self._disconnect(client)

    def _disconnect(self, client: "_Client") -> None:
        self.disconnected += 1
        self._clients.discard(client)
        client.abort()
        text = "the client %s is disconnected: %d messages waited for it"
        self._log.warn("slow", text, client.request.remote_ip, self._max_queued)


class _Client(WebSocketHandler):
    """The connection of one client."""

    def initialize(self, clients: "set[_Client]") -> None:
        self._clients = clients
        self._waiting = 0

    def open(self, *_args: str, **_groups: str) -> None:
        self.set_nodelay(True)
        self._clients.add(self)

    def on_message(self, message: str | bytes) -> None:
        """Ignore what clients send."""

    def on_close(self) -> None:
        self._clients.discard(self)

    def send(self, data: str | bytes, most: int) -> bool:
        """Send a message; return False instead if so many wait already."""
        # Messages that have left in this turn of the loop count still, so ask if there are others.
        if self._waiting >= most and self._stream is not None and self._stream.writing():
            return False
        try:
            sent = self.write_message(data, binary=isinstance(data, bytes))
        except WebSocketClosedError:  # on_close follows
            return True
        self._waiting += 1
        sent.add_done_callback(self._on_sent)
        return True

    def abort(self) -> None:
        """End the connection at once: a closing handshake would wait behind the messages."""
        if self._stream is not None:
            self._stream.close()

    @property
    def _stream(self) -> IOStream | None:
        return None if self.ws_connection is None else self.ws_connection.stream

    def _on_sent(self, sent: asyncio.Future[None]) -> None:
        self._waiting -= 1
        if not sent.cancelled():
            sent.exception()  # a lost connection is no news: on_close follows
