"""The webhook, with a real HTTP client."""

import asyncio
import http.client
import logging
from collections.abc import Mapping

import pytest

from colugo.distributor import AbstractDistributionTarget, Distributor, WebhookSource
from colugo.errors import ClosedError, ConfigurationError
from tests.support.essentials import run, until
from tests.support.feeding import opened

SECRET = "s3cret/ü"  # in a path: s3cret%2F%C3%BC


class Collected(AbstractDistributionTarget):
    """A target that keeps what it gets."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def open(self) -> None:
        pass

    def on_message(self, message: str) -> None:
        self.messages.append(message)

    def process(self, message: str) -> None:
        raise NotImplementedError

    def close(self, code: int = -1, reason: str = "") -> None:
        pass


async def post(
    source: WebhookSource,
    body: bytes = b"{}",
    path: str = "/",
    *,
    method: str = "POST",
    headers: Mapping[str, str] | None = None,
) -> tuple[int, str]:
    """Return the status and the text of the answer."""

    def call() -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", source.port, timeout=10)
        try:
            connection.request(method, path, body, dict(headers or {}))
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    return await asyncio.to_thread(call)


def test_the_body_of_a_post_is_a_message() -> None:
    async def main() -> None:
        source = WebhookSource(0, path="/alerts")
        async with opened(source) as messages:
            json = '{"symbol": "BINANCE:BTCUSDT", "name": "é"}'
            form = {"Content-Type": "application/x-www-form-urlencoded"}
            assert await post(source, json.encode(), "/alerts") == (204, "")
            assert await post(source, b"BUY %zz&=", "/alerts/?x=1", headers=form) == (204, "")
            assert messages.items == [json, "BUY %zz&="]

    run(main())


def test_wrong_requests_get_a_line_of_text() -> None:
    async def main() -> None:
        source = WebhookSource(0, path="/alerts", max_body_bytes=100)
        async with opened(source) as messages:
            answers = [
                await post(source, path="/"),
                await post(source, path="/alerts/x"),
                await post(source, path="/alerts", method="GET"),
                await post(source, path="/alerts", method="BREW"),
                await post(source, b"x" * 101, "/alerts"),
                await post(source, b"x" * 10_000_000, "/alerts"),
                await post(source, b"caf\xe9", "/alerts"),
                await post(source, b"", "/alerts"),
            ]
            assert [status for status, _ in answers] == [404, 404, 405, 405, 413, 413, 400, 400]
            assert all(text.count("\n") == 1 and text.endswith("\n") for _, text in answers)
            assert (source.received, source.malformed, messages.items) == (0, 2, [])

    run(main())


def test_the_secret_may_be_in_the_header_or_in_the_path_and_is_in_no_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    in_path, in_header = "/hook/s3cret%2F%C3%BC", {"X-Webhook-Secret": "header-secret"}

    async def main() -> None:
        source = WebhookSource(0, path="/hook", secret=SECRET)
        async with opened(source) as messages:
            assert await post(source, b"1", in_path) == (204, "")
            for path in ("/hook", "/hook/", "/hook/wrong", "/hook/s3cret%2F"):
                status, text = await post(source, b"2", path)
                assert (status, text) == (403, "forbidden: the secret is missing or wrong\n")
            assert (await post(source, b"3", "/hook", headers={"X-Webhook-Secret": "wrong"}))[0] == 403
            assert (await post(source, b"4", in_path, method="PUT"))[0] == 405
            assert (await post(source, b"\xff", in_path))[0] == 400
            assert (await post(source, b"5", in_path, method="BREW"))[0] == 405

            async def fail(message: str) -> None:
                raise OSError("disk full")

            source.set_on_message(fail)
            assert (await post(source, b"6", in_path))[0] == 503
            assert messages.items == ["1"]
            assert "s3cret" not in repr(source)
        source = WebhookSource(0, secret="header-secret")
        async with opened(source) as messages:
            assert await post(source, b"7", headers=in_header) == (204, "")
            assert messages.items == ["7"]

    run(main())
    assert "disk full" in caplog.text
    assert "403" in caplog.text
    for secret in ("s3cret", "header-secret"):
        assert secret not in caplog.text


def test_the_answer_waits_until_the_message_is_taken() -> None:
    async def main() -> None:
        source, taken, go = WebhookSource(0), asyncio.Event(), asyncio.Event()

        async def take(message: str) -> None:
            taken.set()
            await go.wait()

        async with opened(source):
            source.set_on_message(take)
            answer = asyncio.create_task(post(source))
            await taken.wait()
            done, _ = await asyncio.wait({answer}, timeout=0.1)
            assert not done
            go.set()
            assert await answer == (204, "")

    run(main())


def test_many_requests_at_once_lose_nothing_in_a_small_queue() -> None:
    async def main() -> None:
        distributor, source, collected = Distributor(queue=1), WebhookSource(0), Collected()
        distributor.add_source(source)
        distributor.add_target(collected)
        await distributor.start()  # nothing is distributed before run()
        answers = [asyncio.create_task(post(source, str(n).encode())) for n in range(10)]
        await until(lambda: source.received == 1)
        running = asyncio.create_task(distributor.run())
        assert await asyncio.gather(*answers) == [(204, "")] * 10
        await distributor.shutdown()
        await running
        assert sorted(collected.messages, key=int) == [str(n) for n in range(10)]

    run(main())


def test_a_request_that_waits_when_the_source_closes_is_not_taken() -> None:
    async def main() -> None:
        source, go = WebhookSource(0), asyncio.Event()

        async def take(message: str) -> None:
            await go.wait()

        async with opened(source):
            source.set_on_message(take)
            first = asyncio.create_task(source.emit("1"))
            second = asyncio.create_task(source.emit("2"))
            await until(lambda: source.received == 1)
            source.close()
            go.set()
            await first
            with pytest.raises(ClosedError):
                await second

    run(main())


def test_a_message_that_cannot_be_stored_has_to_be_sent_again() -> None:
    async def main() -> None:
        source = WebhookSource(0)
        async with opened(source) as messages:

            async def fail(message: str) -> None:
                raise OSError("disk full")

            source.set_on_message(fail)
            status, text = await post(source, b"1")
            assert (status, text) == (503, "service unavailable: the message is not stored; try again\n")
            source.set_on_message(messages.take)
            assert await post(source, b"1") == (204, "")

    run(main())


def test_options_that_cannot_work_are_refused() -> None:
    for options, name in (
        ({"path": "alerts"}, "path"),
        ({"secret": ""}, "secret"),
        ({"max_body_bytes": 0}, "max_body_bytes"),
    ):
        with pytest.raises(ConfigurationError, match=name):
            WebhookSource(0, **options)
