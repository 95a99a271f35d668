"""The target of HTTP servers, such as webhooks."""

import os
import threading
from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import urlsplit

from tornado.httpclient import HTTPClient, HTTPClientError, HTTPRequest
from tornado.httputil import HTTPHeaders
from tornado.simple_httpclient import HTTPStreamClosedError, HTTPTimeoutError, SimpleAsyncHTTPClient

from colugo.distributor.per_instance import PerInstance
from colugo.distributor.target_options import TargetOptions
from colugo.distributor.targets.payload import as_json
from colugo.distributor.threaded_target import ThreadedDistributionTarget
from colugo.errors import InvalidUrlException
from colugo.patterns.base import check_count

_TOO_MANY_REQUESTS = 429
_SERVER_ERRORS = range(500, 599)


class _UnavailableError(HTTPClientError):
    """An answer after which another try makes sense."""


class HttpTarget(ThreadedDistributionTarget):
    """Sends each message as the body of an HTTP POST.

    A message is complete when the server answers with a status from 200 to 299. Connection errors, timeouts
    and the statuses 429 and 5xx are tried again, ten tries in all by default; other statuses are errors.
    Redirections are errors, too, because most of them would turn a POST into a GET (RFC 9110, section 15.4).

    Text and bytes are sent as they are, and other objects as JSON.

    Args:
        url: of scheme http or https.
        headers: further headers; `Content-Type` is `application/json` unless they have another one.
        ca_file: the file of the certificates to trust, in PEM; None for those of the system.
        request_timeout_ms: milliseconds for a request, from the connection to the end of the answer.

    Raises:
        InvalidUrlException: if the URL cannot work.
    """

    default_options: ClassVar = TargetOptions(workers=1, retries=9)
    retry_on: ClassVar = (OSError, _UnavailableError)

    _local = PerInstance(threading.local)

    def __init__(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        ca_file: str | os.PathLike[str] | None = None,
        request_timeout_ms: int = 10_000,
    ) -> None:
        super().__init__(poolsize=1)
        try:
            parts = urlsplit(url)
            valid = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
        except ValueError:  # of the port, or of an address in brackets
            valid = False
        if not valid:
            raise InvalidUrlException(f"url must be http://… or https://…, not {url!r}")
        timeout_s = check_count("request_timeout_ms", request_timeout_ms) / 1000
        self._url = url
        self._options: dict[str, Any] = {
            "method": "POST",
            "headers": HTTPHeaders({"Content-Type": "application/json"} | dict(headers or {})),
            "ca_certs": None if ca_file is None else os.fspath(ca_file),
            "connect_timeout": timeout_s,
            "request_timeout": timeout_s,
            "follow_redirects": False,
            "streaming_callback": _ignore,
        }

    def process(self, message: Any) -> int:
        """Send a message.

        Args:
            message: the message.

        Returns:
            The status of the answer.

        Raises:
            HTTPClientError: if the answer's status is not from 200 to 299; its `code` is the status.
            OSError: if the request failed, such as a ConnectionRefusedError, TimeoutError or SSLError.
            TypeError: if an object cannot be encoded as JSON.
        """
        try:
            answer = self._client().fetch(HTTPRequest(self._url, body=as_json(message), **self._options))
        except HTTPTimeoutError as error:
            raise TimeoutError(str(error)) from None
        except HTTPStreamClosedError as error:
            raise ConnectionError(str(error)) from None
        except HTTPClientError as error:
            if error.code == _TOO_MANY_REQUESTS or error.code in _SERVER_ERRORS:
                raise _UnavailableError(error.code, error.message, error.response) from None
            raise
        return answer.code

    def _client(self) -> HTTPClient:
        """Return the client of this thread: each has a loop of its own."""
        client: HTTPClient | None = getattr(self._local, "client", None)
        if client is None:
            client = self._local.client = HTTPClient(SimpleAsyncHTTPClient)
        return client


def _ignore(_chunk: bytes) -> None:
    """Drop a part of the answer, which may be long."""
