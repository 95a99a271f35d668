"""The source of messages that come by HTTP POST."""

import hmac
from collections.abc import Callable
from urllib.parse import unquote

import msgspec
from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPServerRequest
from tornado.tcpserver import TCPServer
from tornado.web import Application, RequestHandler, stream_request_body

from colugo.distributor.sources.bound_source import ServerSource
from colugo.errors import ClosedError, ConfigurationError
from colugo.patterns.base import check_count

_MOST_DISCARDED = 64 * 1024 * 1024
"""A body that is too long is read up to here, so that the client reads the answer instead of a reset."""
_BODY_S = 60.0
_IDLE_S = 300.0

_Answer = tuple[int, str]
"""A status code and a line of text."""


class WebhookSource(ServerSource):
    """An HTTP server; the body of each POST is a message, as text. TradingView's alerts come like that.

    With a secret, a request needs it in a header or, as TradingView sets none, as the last part of its path.
    No log shows it.

    The answer is 204 when the distributor has taken the message, and 503 if it could not: then the sender has
    to try again. Others are 400 for an empty body and for invalid UTF-8, 403 without the secret, 404 for
    another path, 405 for another method, and 413 for a body that is too long, each with a line of text.

    Args:
        port: the TCP port; 0 for a free one.
        host: the address to bind, or a name, whose first address is used.
        path: the path of the URL.
        secret: the shared secret, compared in constant time; None to take all requests.
        header: the header that may have the secret.
        max_body_bytes: the most bytes of a body.

    Raises:
        ConfigurationError: if a value cannot work.
    """

    def __init__(
        self,
        port: int,
        host: str = "127.0.0.1",
        *,
        path: str = "/",
        secret: str | None = None,
        header: str = "X-Webhook-Secret",
        max_body_bytes: int = 1024 * 1024,
    ) -> None:
        super().__init__(port, host)
        if not path.startswith("/"):
            raise ConfigurationError(f"path must begin with /, not {path!r}")
        if secret == "":
            raise ConfigurationError("secret must not be empty; omit it to take all requests")
        self._rules = _Rules(
            path=path.rstrip("/"),
            secret=None if secret is None else secret.encode(),
            header=header,
            most_bytes=check_count("max_body_bytes", max_body_bytes),
        )

    def _make_server(self) -> TCPServer:
        settings = {"source": self, "rules": self._rules, "warn": self._warn}
        return HTTPServer(
            # Tornado's own log of requests shows paths, which may have the secret.
            Application([(".*", _Handler, settings)], log_function=lambda _: None),
            max_body_size=max(self._rules.most_bytes, _MOST_DISCARDED),
            body_timeout=_BODY_S,
            idle_connection_timeout=_IDLE_S,
        )

    async def _close_connections(self, server: TCPServer) -> None:
        assert isinstance(server, HTTPServer)
        await server.close_all_connections()


class _Rules(msgspec.Struct, frozen=True):
    path: str
    secret: bytes | None
    header: str
    most_bytes: int

    def refusal(self, request: HTTPServerRequest) -> _Answer | None:
        """Return the answer for a request that is refused by its head; None to take it."""
        start, _, tail = request.path.rpartition("/")
        if request.path in (self.path, f"{self.path}/"):
            tail = ""
        elif self.secret is None or start != self.path:
            return 404, "not found: see the path in the configuration of the webhook"
        if request.method != "POST":
            return 405, "method not allowed: use POST"
        if self.secret is not None:
            in_header = hmac.compare_digest(request.headers.get(self.header, "").encode(), self.secret)
            in_path = hmac.compare_digest(unquote(tail).encode(), self.secret)
            if not (in_header or in_path):
                return 403, "forbidden: the secret is missing or wrong"
        return None


@stream_request_body
class _Handler(RequestHandler):
    def initialize(self, source: WebhookSource, rules: _Rules, warn: Callable[..., None]) -> None:
        self._source = source
        self._rules = rules
        self._warn = warn
        self._body = bytearray()
        self._refused: _Answer | None = None

    def prepare(self) -> None:
        self._refused = self._rules.refusal(self.request)

    def data_received(self, chunk: bytes) -> None:
        if self._refused is None and len(self._body) + len(chunk) > self._rules.most_bytes:
            self._refused = 413, f"content too large: the limit is {self._rules.most_bytes} bytes"
        if self._refused is not None:
            self._body.clear()
        else:
            self._body += chunk

    async def post(self) -> None:
        self._answer(self._refused or await self._take())

    get = head = put = patch = delete = options = post

    async def _take(self) -> _Answer:
        """Hand over the message, and return the answer."""
        try:
            message = self._body.decode()
        except UnicodeDecodeError as error:
            self._source.malformed += 1
            return 400, f"bad request: the body is not UTF-8: {error.reason} at byte {error.start}"
        if not message:
            self._source.malformed += 1
            return 400, "bad request: the body is empty"
        try:
            await self._source.emit(message)
        except ClosedError:
            return 503, "service unavailable: the webhook is closing; try again"
        except Exception as error:  # noqa: BLE001 - logged
            self._warn(type(error), "a message is not taken", error=error)
            return 503, "service unavailable: the message is not stored; try again"
        return 204, ""

    def write_error(self, status_code: int, **kwargs: object) -> None:
        del kwargs
        self._answer((status_code, self._reason.lower()))

    def log_exception(self, *error: object) -> None:
        del error  # Tornado's text has the path; the answer is logged without it

    def _answer(self, answer: _Answer) -> None:
        status, text = answer
        self.set_status(status)
        if status >= 400:  # noqa: PLR2004
            address = self.request.remote_ip
            self._warn((status, address), "%d to %s: %s", status, address, text)
            self.set_header("Content-Type", "text/plain; charset=utf-8")
            self.write(f"{text}\n")
        if status == 405:  # noqa: PLR2004
            self.set_header("Allow", "POST")
        self.finish()
