"""The nodes of the demo, each a process: `python -m colugo.cli.demo.roles monitor|server|client NAME`.

They exit when their standard input ends: when the demo closes it, and also when the demo is killed.
"""

import asyncio
import logging
import math
import os
import random
import sys
import time
from typing import Any

from colugo import Advertisement, Node, Publisher, RequestClient, RequestError
from colugo.cli.demo.demo_messages import (
    FACTORS,
    FIRST_SERVERS,
    LOAD,
    MEMORY,
    NAP_MS,
    NETWORK,
    SLOW_REQUEST,
    SLOW_TIMEOUT_MS,
    DemoEvent,
    Load,
    Memory,
    NetworkLoad,
    Report,
    SlowOutcome,
    report_topic,
)
from colugo.cli.demo.readings import read_load, read_memory, read_network

READING_MS = 500
REQUEST_MS = 100
REQUEST_TIMEOUT_MS = 2000
_LARGEST = 10_000_000


class Role:
    """A node that reports events to the demo."""

    def __init__(self, name: str) -> None:
        self.born_ns = time.time_ns()
        self.node = Node(name)
        self.reports: Publisher = self.node.add_publisher(report_topic(name), codec=Report)

    async def run(self) -> None:
        """Run the node until standard input ends."""
        async with self.node, asyncio.TaskGroup() as tasks:
            joining = tasks.create_task(self._join(), name="join")
            await input_ended()
            joining.cancel()

    async def begin(self) -> None:
        """Start the role's work; called once the demo has subscribed to its reports."""

    def report(self, event: DemoEvent, about: str, **more: Any) -> None:
        """Send a report to the demo."""
        self.reports.send(Report(event, about, **{"at_ns": time.time_ns(), **more}))

    async def _join(self) -> None:
        await self.reports.ready()
        self.report(DemoEvent.JOINED, self.node.name, at_ns=self.born_ns)
        await self.begin()


class Monitor(Role):
    """A node that publishes readings of this machine."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._readings = (
            (self.node.add_publisher(LOAD, codec=Load), read_load),
            (self.node.add_publisher(MEMORY, codec=Memory), read_memory),
            (self.node.add_publisher(NETWORK, codec=NetworkLoad), read_network),
        )

    async def begin(self) -> None:
        """Start to publish, once there are subscribers for the first readings."""
        for publisher, _ in self._readings:
            await publisher.ready()
        self.node.add_repeater(READING_MS, self._publish)

    def _publish(self) -> None:
        for publisher, read in self._readings:
            publisher.send(read())


class Server(Role):
    """A node that replies with the prime factors of a number; several servers share the work."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.node.add_reply_server(FACTORS, self._answer, codec="json")

    async def _answer(self, question: dict[str, int]) -> dict[str, Any]:
        await asyncio.sleep(question["nap_ms"] / 1000)
        return {"server": self.node.name, "factors": prime_factors(question["number"])}


class Client(Role):
    """A node that sends ten requests a second, and on demand one that takes too long."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._found_ns: dict[str, int] = {}
        self._factors: RequestClient = self.node.add_request_client(
            FACTORS, self._connected, codec="json", on_disconnect=self._disconnected
        )
        self.node.add_reply_server(SLOW_REQUEST, self._slow_request, codec="json")

    async def begin(self) -> None:
        """Start requests once all servers are connected, so that they share all requests."""
        for server, at_ns in self._found_ns.items():  # found before the demo subscribed
            self.report(DemoEvent.CONNECTED, server, at_ns=at_ns)
        await self._factors.ready(len(FIRST_SERVERS))
        self.node.add_repeater(REQUEST_MS, self._ask)

    def _connected(self, server: Advertisement) -> None:
        self._found_ns[server.node] = time.time_ns()
        self.report(DemoEvent.CONNECTED, server.node)

    def _disconnected(self, server: Advertisement) -> None:
        self.report(DemoEvent.DISCONNECTED, server.node)

    async def _ask(self) -> None:
        number = random.randrange(2, _LARGEST)  # noqa: S311 - any number will do
        started = time.perf_counter()
        try:
            answer = await self._factors.request({"number": number, "nap_ms": 0}, REQUEST_TIMEOUT_MS)
        except RequestError as error:
            self.report(DemoEvent.FAILED, type(error).__name__, detail=str(error))
            return
        elapsed_ms = (time.perf_counter() - started) * 1000
        if math.prod(answer["factors"]) != number:
            detail = f"{answer['factors']} are not the factors of {number}"
            self.report(DemoEvent.FAILED, "wrong answer", detail=detail)
            return
        product = " * ".join(map(str, answer["factors"]))
        self.report(
            DemoEvent.ANSWERED,
            answer["server"],
            elapsed_ms=elapsed_ms,
            detail=f"{number} = {product}",
            late=self._factors.stats.late,
        )

    async def _slow_request(self, question: dict[str, int]) -> SlowOutcome:
        error, detail = "", "a reply in time"
        started = time.perf_counter()
        try:
            await self._factors.request({"nap_ms": NAP_MS, **question}, SLOW_TIMEOUT_MS)
        except RequestError as failure:
            error, detail = type(failure).__name__, str(failure)
        elapsed_ms = (time.perf_counter() - started) * 1000
        started = time.perf_counter()
        answer = await self._factors.request({"nap_ms": 0, **question}, REQUEST_TIMEOUT_MS)
        next_elapsed_ms = (time.perf_counter() - started) * 1000
        return SlowOutcome(error, detail, elapsed_ms, answer["server"], next_elapsed_ms)


ROLES: dict[str, type[Role]] = {"monitor": Monitor, "server": Server, "client": Client}


def prime_factors(number: int) -> list[int]:
    """Factor a number into primes, by trial division."""
    factors, divisor = [], 2
    while divisor * divisor <= number:
        while number % divisor == 0:
            factors.append(divisor)
            number //= divisor
        divisor += 1
    return [*factors, number] if number > 1 else factors


async def input_ended() -> None:
    """Wait until standard input ends."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    descriptor = sys.stdin.fileno()

    def on_readable() -> None:
        if not os.read(descriptor, 4096):
            loop.remove_reader(descriptor)
            ended.set()

    loop.add_reader(descriptor, on_readable)
    await ended.wait()


def main() -> None:
    """Run the role that the command line names."""
    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s")
    role, name = sys.argv[1:]
    asyncio.run(ROLES[role](name).run())


if __name__ == "__main__":
    main()
