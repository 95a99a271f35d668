"""The source of messages that come by HTTP POST."""

import hmac
import ssl
import time
from os import PathLike
from urllib.parse import unquote

from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPServerRequest
from tornado.tcpserver import TCPServer
from tornado.web import Application, RequestHandler, stream_request_body

from colugo.distributor.sources.server_source import ServerSource
from colugo.errors import ClosedError, ConfigurationError
from colugo.patterns.base import check_count
from colugo.protocol.throttle import Throttle

_MOST_DISCARDED = 64 * 1024 * 1024
"""A body that is too long is read up to here, so that the client reads the answer instead of a reset."""
_BODY_S = 60.0
_IDLE_S = 300.0

Answer = tuple[int, str]
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
        cert_file: the path of a PEM file with a certificate, for HTTPS; None for plain HTTP.
        key_file: the path of the certificate's private key; None if `cert_file` has it, too.

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
        cert_file: str | PathLike[str] | None = None,
        key_file: str | PathLike[str] | None = None,
    ) -> None:
        super().__init__(port, host)
        if not path.startswith("/"):
            raise ConfigurationError(f"path must begin with /, not {path!r}")
        if secret == "":
            raise ConfigurationError("secret must not be empty; omit it to take all requests")
        if key_file is not None and cert_file is None:
            raise ConfigurationError(f"key_file {str(key_file)!r} needs cert_file, too")
        self._path = path.rstrip("/")
        self._secret = None if secret is None else secret.encode()
        self._header = header
        self._most_bytes = check_count("max_body_bytes", max_body_bytes)
        self._cert_file = cert_file
        self._key_file = key_file
        self._throttle = Throttle()

    def make_server(self) -> TCPServer:
        """Return the server.

        Raises:
            OSError: if the certificate cannot be read.
        """
        context = None
        if self._cert_file is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self._cert_file, self._key_file)
        # Tornado's own log of requests shows paths, which may have the secret.
        application = Application([(".*", _Handler, {"source": self})], log_function=lambda _: None)
        return HTTPServer(
            application,
            ssl_options=context,
            max_body_size=max(self._most_bytes, _MOST_DISCARDED),
            body_timeout=_BODY_S,
            idle_connection_timeout=_IDLE_S,
        )

    async def close_connections(self, server: TCPServer) -> None:
        """Close all connections."""
        assert isinstance(server, HTTPServer)
        await server.close_all_connections()

    def check(self, request: HTTPServerRequest) -> Answer | None:
        """Return the answer for a request that is refused by its head; None to take it."""
        tail = self._tail(request.path)
        if tail is None:
            return 404, "not found: see the path in the configuration of the webhook"
        if request.method != "POST":
            return 405, "method not allowed: use POST"
        if self._secret is not None:
            in_header = hmac.compare_digest(request.headers.get(self._header, "").encode(), self._secret)
            in_path = hmac.compare_digest(tail.encode(), self._secret)
            if not (in_header or in_path):
                return 403, "forbidden: the secret is missing or wrong"
        return None

    async def take(self, body: bytes | None) -> Answer:
        """Hand over a message, and return the answer.

        Args:
            body: the body of the request; None if it is too long.
        """
        if body is None:
            return 413, f"content too large: the limit is {self._most_bytes} bytes"
        try:
            message = body.decode()
        except UnicodeDecodeError as error:
            self.malformed += 1
            return 400, f"bad request: the body is not UTF-8: {error.reason} at byte {error.start}"
        if not message:
            self.malformed += 1
            return 400, "bad request: the body is empty"
        try:
            await self.emit(message)
        except ClosedError:
            return 503, "service unavailable: the webhook is closing; try again"
        except Exception as error:
            if (note := self._throttle.note(type(error).__name__, time.monotonic())) is not None:
                self.logger.exception("%s: a message is not taken%s", self.label, note)
            return 503, "service unavailable: the message is not stored; try again"
        return 204, ""

    def report(self, answer: Answer, address: str | None) -> None:
        """Log a request that was refused."""
        status, text = answer
        note = self._throttle.note((status, address), time.monotonic())
        if note is not None:
            self.logger.warning("%s: %d to %s: %s%s", self.label, status, address, text, note)

    @property
    def most_bytes(self) -> int:
        """The limit of a body."""
        return self._most_bytes

    def _tail(self, path: str) -> str | None:
        """Return what follows the webhook's path, `""` if nothing does; None for another path."""
        if path in (self._path, f"{self._path}/"):
            return ""
        start, _, tail = path.rpartition("/")
        return unquote(tail) if self._secret is not None and start == self._path else None


@stream_request_body
class _Handler(RequestHandler):
    def initialize(self, source: WebhookSource) -> None:
        self._source = source
        self._body = bytearray()
        self._too_long = False
        self._refused: Answer | None = None

    def prepare(self) -> None:
        self._refused = self._source.check(self.request)
        length = self.request.headers.get("Content-Length", "")
        if length.isdecimal() and int(length) > _MOST_DISCARDED:
            self._answer((413, f"content too large: the limit is {self._source.most_bytes} bytes"))

    def data_received(self, chunk: bytes) -> None:
        self._too_long = self._too_long or len(self._body) + len(chunk) > self._source.most_bytes
        if self._too_long or self._refused is not None:
            self._body.clear()
        else:
            self._body += chunk

    async def post(self) -> None:
        if self._refused is None:
            self._refused = await self._source.take(None if self._too_long else bytes(self._body))
        self._answer(self._refused)

    get = head = put = patch = delete = options = post

    def write_error(self, status_code: int, **kwargs: object) -> None:
        del kwargs
        self._answer((status_code, self._reason.lower()))

    def log_exception(self, *error: object) -> None:
        del error  # Tornado's text has the path; the answer is logged without it

    def _answer(self, answer: Answer) -> None:
        status, text = answer
        self.set_status(status)
        if status >= 400:  # noqa: PLR2004
            self._source.report(answer, self.request.remote_ip)
            self.set_header("Content-Type", "text/plain; charset=utf-8")
            self.write(f"{text}\n")
        if status == 405:  # noqa: PLR2004
            self.set_header("Allow", "POST")
        self.finish()
