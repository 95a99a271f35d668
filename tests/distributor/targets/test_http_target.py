"""The HTTP target: requests at a real server, and what is tried again."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tornado.httpclient import HTTPClientError
from tornado.httpserver import HTTPServer
from tornado.web import Application, RequestHandler

from colugo.distributor import HttpTarget, TargetOptions
from colugo.distributor.threaded_target import configure, pool_of
from colugo.errors import InvalidUrlException
from tests.support.essentials import free_port, run, until
from tests.support.feeding import make_certificate
from tests.support.leftovers import nothing_left

Requests = list[tuple[str, bytes, str]]


class Webhook(RequestHandler):
    """Keeps requests, and answers with the next status of a list, or 204."""

    def initialize(self, requests: Requests, statuses: list[int]) -> None:
        self._requests = requests
        self._statuses = statuses

    async def _take(self) -> None:
        kind = self.request.headers.get("Content-Type", "")
        self._requests.append((f"{self.request.method} {self.request.path}", self.request.body, kind))
        status = self._statuses.pop(0) if self._statuses else 204
        if status == 0:
            await asyncio.Event().wait()
        self.set_status(status)
        if status == 302:
            self.set_header("Location", "/elsewhere")
        if status == 200:
            self.write("x" * 1_000_000)  # answers may be long

    post = put = get = _take


@asynccontextmanager
async def webhook(
    *statuses: int, port: int = 0, tls: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[int, Requests]]:
    """A server, its port and its requests."""
    requests: Requests = []
    arguments = {"requests": requests, "statuses": list(statuses)}
    server = HTTPServer(Application([(".*", Webhook, arguments)]), ssl_options=tls)
    server.listen(port, "127.0.0.1")
    bound = next(iter(server._sockets.values())).getsockname()[1]
    try:
        yield bound, requests
    finally:
        server.stop()
        await server.close_all_connections()


class Target(HttpTarget):
    """Keeps its outcomes, and is quick to try again."""

    def __init__(self, url: str, **options: Any) -> None:
        super().__init__(url, **options)
        self.outcomes: list[Any] = []
        configure(self, "t", TargetOptions(retry_ms=1))

    def on_complete(self, result: Any) -> None:
        self.outcomes.append(result)

    def on_error(self, exception: BaseException) -> None:
        self.outcomes.append(exception)

    def on_timeout(self, result: None) -> None:
        self.outcomes.append("timeout")

    async def close_later(self) -> None:
        await asyncio.to_thread(self.close)


def test_each_message_is_the_body_of_a_request() -> None:
    async def main() -> None:
        async with webhook(200) as (port, requests):
            target = Target(
                f"http://127.0.0.1:{port}/hook?a=b", headers={"X-Mine": "1", "content-type": "text/plain"}
            )
            for message in ('{"a": 1}', b"\xff", {"b": 2}):
                target.on_message(message)
            await until(lambda: len(target.outcomes) == 3)
            await target.close_later()
            assert target.outcomes == [200, 204, 204]
            bodies = [b'{"a": 1}', b"\xff", b'{"b":2}']
            assert requests == [("POST /hook", body, "text/plain") for body in bodies]

    run(main())
    with nothing_left():
        run(main())


def test_server_errors_and_too_many_requests_are_tried_again() -> None:
    async def main() -> None:
        async with webhook(500, 503, 429, 204) as (port, requests):
            target = Target(f"http://127.0.0.1:{port}/")
            target.on_message("a")
            await until(lambda: target.outcomes)
            await target.close_later()
            assert target.outcomes == [204]
            assert len(requests) == 4
            assert pool_of(target).stats.retried == 3

    run(main())


def test_after_ten_tries_a_server_error_is_the_messages_error() -> None:
    async def main() -> None:
        async with webhook(*[503] * 20) as (port, requests):
            target = Target(f"http://127.0.0.1:{port}/")
            target.on_message("a")
            await until(lambda: target.outcomes)
            await target.close_later()
            assert isinstance(target.outcomes[0], HTTPClientError)
            assert target.outcomes[0].code == 503
            assert len(requests) == 10

    run(main())


def test_other_statuses_are_errors_at_once() -> None:
    async def main() -> None:
        async with webhook(400, 404, 302) as (port, requests):
            target = Target(f"http://127.0.0.1:{port}/")
            for message in ("a", "b", "c"):
                target.on_message(message)
            await until(lambda: len(target.outcomes) == 3)
            await target.close_later()
            assert [error.code for error in target.outcomes] == [400, 404, 302]
            assert [line for line, _, _ in requests] == ["POST /"] * 3

    run(main())


def test_messages_wait_for_a_server_that_is_not_there_yet() -> None:
    async def main() -> None:
        port = free_port()
        target = Target(f"http://127.0.0.1:{port}/")
        configure(target, "t", TargetOptions(retry_ms=1, retries=-1, max_retry_ms=20))
        target.on_message("a")
        await until(lambda: pool_of(target).stats.retried)
        async with webhook(port=port) as (_, requests):
            await until(lambda: target.outcomes)
            assert [body for _, body, _ in requests] == [b"a"]
        await target.close_later()

    run(main())


def test_a_server_that_does_not_answer_is_a_timeout() -> None:
    async def main() -> None:
        async with webhook(0) as (port, _):
            target = Target(f"http://127.0.0.1:{port}/", request_timeout_ms=50)
            configure(target, "t", TargetOptions(retries=0))
            target.on_message("a")
            await until(lambda: target.outcomes)
            await target.close_later()
            assert target.outcomes == ["timeout"]

    run(main())


def test_a_certificate_has_to_be_trusted(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate, key)

    async def main() -> None:
        async with webhook(tls=tls) as (port, requests):
            trusting = Target(f"https://127.0.0.1:{port}/", ca_file=certificate)
            wary = Target(f"https://127.0.0.1:{port}/")
            for target in (trusting, wary):
                target.on_message("a")
                await until(lambda: target.outcomes)  # noqa: B023
                await target.close_later()
            assert trusting.outcomes == [204]
            assert isinstance(wary.outcomes[0], ssl.SSLError)
            assert len(requests) == 1

    run(main())


@pytest.mark.parametrize("url", ["ws://127.0.0.1/", "127.0.0.1:80", "http://", "", "file:///etc/passwd"])
def test_an_url_of_another_scheme_is_refused(url: str) -> None:
    with pytest.raises(InvalidUrlException, match="url must be http"):
        HttpTarget(url)
