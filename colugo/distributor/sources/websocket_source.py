"""The source of messages of a WebSocket server."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from os import PathLike
from pathlib import Path
from urllib.parse import urlsplit

from tornado.httpclient import HTTPRequest
from tornado.websocket import WebSocketClientConnection, WebSocketClosedError, websocket_connect

from colugo.distributor.backoff import backoff_s
from colugo.distributor.sources.loop_source import LoopSource
from colugo.distributor.sources.websocket_wire import VIOLATION, WebSocketWire
from colugo.errors import ConfigurationError, InvalidUrlException
from colugo.patterns.base import check_count

_MEBIBYTE = 1024 * 1024
_MOST_BYTES = 100 * _MEBIBYTE
"""The limit of a Tornado client's buffer."""
_CONNECT_S = 10.0


class WebSocketSource(LoopSource):
    """A client of a WebSocket server (RFC 6455); each message is a message, text as str, binary as bytes.

    A lost connection is made anew, for ever, after a pause with full jitter. Each gap is logged with its
    beginning, end and length; messages that the server sent meanwhile are missing. A ping is sent every half
    of `ping_ms`, and a connection counts as lost when nothing arrives until the next one: so a silent cut is
    noticed within `ping_ms`. The time while a target with `full="wait"` holds up the source does not count.

    Text that is not UTF-8 and other invalid frames end the connection (RFC 6455 section 8.1), and are counted
    in `malformed`.

    Args:
        url: `ws://…` or `wss://…`.
        protocols: the subprotocols to offer.
        headers: headers of the request, such as `{"Authorization": "Bearer …"}`.
        send_on_connect: a message to send after each connect, such as a subscription.
        ca_file: the path of a PEM file with the certificates to trust; None for those of the system.
        ping_ms: milliseconds in which a lost connection is noticed.
        retry_ms: milliseconds before the first new try, at most; the limit doubles with each one.
        max_retry_ms: milliseconds between two tries, at most.
        max_message_bytes: the most bytes of a message, up to 100 MiB. A longer one ends the connection.

    Raises:
        InvalidUrlException: if the URL is not one of a WebSocket server.
        ConfigurationError: if another value cannot work.
    """

    def __init__(
        self,
        url: str,
        protocols: Sequence[str] = (),
        *,
        headers: dict[str, str] | None = None,
        send_on_connect: str | None = None,
        ca_file: str | PathLike[str] | None = None,
        ping_ms: int = 10_000,
        retry_ms: int = 100,
        max_retry_ms: int = 30_000,
        max_message_bytes: int = 64 * _MEBIBYTE,
    ) -> None:
        super().__init__()
        self._url, self._place = url, _check_url(url)
        if isinstance(protocols, str):
            raise ConfigurationError(f"protocols must be a list of names, not the str {protocols!r}")
        if ca_file is not None and not Path(ca_file).is_file():
            raise ConfigurationError(f"ca_file {str(ca_file)!r} does not exist, or is no file")
        if check_count("max_message_bytes", max_message_bytes) > _MOST_BYTES:
            raise ConfigurationError(f"max_message_bytes must be ≤ {_MOST_BYTES}, not {max_message_bytes}")
        self._protocols = list(protocols)
        self._headers = dict(headers or {})
        self._send_on_connect = send_on_connect
        self._ca_file = None if ca_file is None else str(ca_file)
        self._ping_ms = check_count("ping_ms", ping_ms)
        self._retry_ms = check_count("retry_ms", retry_ms)
        self._max_retry_ms = check_count("max_retry_ms", max_retry_ms)
        self._max_message_bytes = max_message_bytes
        self._wire: WebSocketWire | None = None
        self._gap_began: float | None = None
        self._tries = 0

    @property
    def label(self) -> str:
        """The name in logs and of the task: the URL without user, password and query."""
        return f"{type(self).__name__} {self._place}"

    @property
    def connected(self) -> bool:
        """True while there is a connection."""
        return self._wire is not None

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Close the connection with a close frame, and do not connect again.

        Args:
            code: the status code of the close frame (RFC 6455 section 7.4); 1000 if that may not be sent.
            reason: the cause in words, cut to 123 bytes.
        """
        if self._wire is not None:
            self._wire.farewell(code, reason)
        super().close(code, reason)

    async def listen(self) -> None:
        """Connect, read, and connect again, until the task is cancelled."""
        while True:
            try:
                connection = await self._connect()
            except Exception as error:  # noqa: BLE001 - any is a failed try; Tornado raises many kinds
                self._tries += 1
                self._warn((type(error), str(error)), "cannot connect: %s", error)
            else:
                await self._use(WebSocketWire(connection))
            await asyncio.sleep(backoff_s(self._tries, self._retry_ms, self._max_retry_ms))

    async def _connect(self) -> WebSocketClientConnection:
        connecting = asyncio.ensure_future(
            websocket_connect(
                HTTPRequest(
                    self._url, headers=self._headers, ca_certs=self._ca_file, request_timeout=_CONNECT_S
                ),
                max_message_size=self._max_message_bytes,
                subprotocols=self._protocols or None,
            )
        )
        try:
            return await asyncio.shield(connecting)
        except asyncio.CancelledError:
            connecting.add_done_callback(_discard)  # the connection may be made all the same
            raise

    async def _use(self, wire: WebSocketWire) -> None:
        """Read all messages of a connection, and note when it is lost."""
        began = time.monotonic()
        self._wire = wire
        self._report_resumed()
        watch = asyncio.create_task(wire.watch(self._ping_ms / 2000), name=f"{self.label} pings")
        try:
            with suppress(WebSocketClosedError):
                if self._send_on_connect is not None:
                    await wire.connection.write_message(self._send_on_connect)
                while (message := await wire.connection.read_message()) is not None:
                    wire.held = True
                    await self.emit(message)
                    wire.held = False
                    wire.heard = True
            self._report_lost(wire)
        finally:
            watch.cancel()
            self._wire, self._gap_began = None, wire.last_heard
            await wire.end()
        lasted_ms = (time.monotonic() - began) * 1000
        self._tries = 1 if lasted_ms >= self._ping_ms else self._tries + 1

    def _report_resumed(self) -> None:
        if self._gap_began is None:
            self.logger.info("%s: connected", self.label)
            return
        self.reconnects += 1
        began, ended = self._gap_began, time.monotonic()
        text = "connected again; the gap lasted %d ms, from %s to %s"
        self._warn(None, text, (ended - began) * 1000, _iso(began), _iso(ended))
        self._gap_began = None

    def _report_lost(self, wire: WebSocketWire) -> None:
        cause = f"no answer to a ping within {self._ping_ms // 2} ms" if wire.silent else wire.cause
        self.malformed += cause == VIOLATION
        self._warn(None, "connection lost: %s; the gap began at %s", cause, _iso(wire.last_heard))


def _discard(connecting: "asyncio.Future[WebSocketClientConnection]") -> None:
    if not connecting.cancelled() and connecting.exception() is None:
        wire = WebSocketWire(connecting.result())
        wire.connection.close()
        wire.stream.close()


def _check_url(url: str) -> str:
    """Return the URL without user, password and query, which may be secret."""
    shown = url.partition("?")[0]
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise InvalidUrlException(f"the URL {shown!r} is invalid: {error}") from None
    if parts.scheme not in ("ws", "wss") or not parts.hostname:
        raise InvalidUrlException(
            f"the URL of a WebSocket must be like ws://HOST:PORT/PATH or wss://HOST/PATH, not {shown!r}"
        )
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}{f':{port}' if port else ''}{parts.path}"


def _iso(moment: float) -> str:
    """Return a moment of `time.monotonic` as a date and time."""
    wall = datetime.fromtimestamp(time.time() - time.monotonic() + moment, UTC)
    return wall.isoformat(timespec="milliseconds")
