"""Callbacks that block the loop: the warning, the connections, and the counters."""

import asyncio
import functools
import logging
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

from colugo import Node
from tests.support.essentials import Collector, Program, run, until
from tests.support.processes import answer, program

HOLD_S = 0.15


class Owner:
    """A program's callbacks, the first calls of which take long."""

    def __init__(self) -> None:
        self.got: list[Any] = []

    def hold(self, message: Any) -> None:
        self.got.append(message)
        if len(self.got) <= 3:
            time.sleep(HOLD_S)

    def hold_and_reply(self, message: Any) -> Any:
        self.hold(message)
        return message

    def hold_with_info(self, message: Any, info: Any) -> None:
        self.hold(message)

    def hold_on_thread(self, message: Any) -> None:
        self.hold(message)


def complaints(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if "held the loop" in record.getMessage()]


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda owner: owner.hold, "Owner.hold"),
        (lambda owner: owner.hold_with_info, "Owner.hold_with_info"),
        (lambda owner: functools.partial(owner.hold_with_info, info=None), "functools.partial(<bound method"),
    ],
    ids=["method", "with info", "partial"],
)
def test_a_subscriber_whose_callback_holds_the_loop_is_named_once(
    caplog: pytest.LogCaptureFixture, make: Callable[[Owner], Callable[..., None]], name: str
) -> None:
    async def main() -> None:
        async with Node("a") as node:
            owner = Owner()
            publisher = node.add_publisher("lab.door")
            node.add_subscriber("lab.door", make(owner))
            await publisher.ready()
            for number in range(10):
                publisher.send(str(number))
            await until(lambda: len(owner.got) == 10)

    run(main())
    (text,) = complaints(caplog)
    assert text.startswith(f"callback of lab.door ({name}")
    duration = int(text.split(" has held the loop for ")[1].split(" ms")[0])
    assert HOLD_S * 1000 <= duration < 10 * HOLD_S * 1000


def test_a_server_whose_callback_holds_the_loop_is_named_once(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with Node("a") as node:
            node.add_reply_server("lab.door", Owner().hold_and_reply)
            client = node.add_request_client("lab.door")
            await asyncio.gather(*(client.request(str(number)) for number in range(6)))

    run(main())
    (text,) = complaints(caplog)
    assert text.startswith("callback of lab.door (Owner.hold_and_reply) has held the loop for 1")


def test_a_reply_callback_that_holds_the_loop_is_named_once(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with Node("a") as node:
            owner = Owner()
            node.add_reply_server("lab.door", lambda message: message)
            client = node.add_request_client("lab.door")
            await client.ready()
            for number in range(6):
                client.send(str(number), owner.hold)
            await until(lambda: len(owner.got) == 6)

    run(main())
    (text,) = complaints(caplog)
    assert text.startswith("reply callback of lab.door (Owner.hold) has held the loop for ")


def test_a_callback_on_a_thread_and_one_that_awaits_hold_no_loop(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with Node("a") as node:
            owner, received = Owner(), Collector()

            async def wait(message: str) -> None:
                await asyncio.sleep(HOLD_S)
                received(message)

            publisher = node.add_publisher("t")
            node.add_subscriber("t", owner.hold_on_thread, executor=True)
            node.add_subscriber("t", wait)
            await publisher.ready(2)
            publisher.send("x")
            await received.reach(1)
            await until(lambda: owner.got)

    with caplog.at_level(logging.WARNING):
        run(main())
    assert complaints(caplog) == []


def check_held(realm: str, who: str, hold_s: float) -> None:
    """Hold the loop of a server or client under load: all requests end, and new ones have replies."""
    with (
        program("server", realm, reply_bytes=20_000) as server,
        program("client", realm, in_flight=2000, request_bytes=1000) as client,
    ):
        client.expect("connected")
        client.expect("under load")
        held: Program = server if who == "server" else client
        held.signal(signal.SIGUSR1)
        held.expect("held")
        time.sleep(hold_s)  # the length of the hold is what is tested
        held.signal(signal.SIGUSR2)
        held.expect("released")
        client.signal(signal.SIGHUP)
        account = answer(client, "done", within=30)
        print(
            f"{who} held for {hold_s} s: {account}, {[line for line in client.lines if 'connected' in line]}"
        )
    assert account["sent"] == account["ended"] == account["replies"] + account["timeouts"] + account["lost"]
    assert account["pending"] == 0
    assert account["malformed"] == 0
    assert account["answered at last"] == 100


@pytest.mark.slow
@pytest.mark.usefixtures("transport")
@pytest.mark.parametrize("who", ["server", "client"])
def test_every_request_ends_and_the_link_works_after_a_hold(realm: str, who: str) -> None:
    check_held(realm, who, 1)


@pytest.mark.usefixtures("transport")
@pytest.mark.slow
@pytest.mark.parametrize("who", ["server", "client"])
def test_every_request_ends_and_the_link_works_after_a_hold_of_ten_seconds(realm: str, who: str) -> None:
    check_held(realm, who, 10)
