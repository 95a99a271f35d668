"""The process of the benchmark of distributors: a source and its targets.

python -m tools.bench.distributor_roles LIBRARY KIND
"""

import asyncio
import sys
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port
from tornado.web import Application
from tornado.websocket import WebSocketHandler

from colugo.distributor import (
    AbstractDistributionSource,
    Distributor,
    GeneratorSource,
    TargetOptions,
    ThreadedDistributionTarget,
    WebSocketSource,
)
from tools.bench.roles import obey, say

_WAIT_S = 50.0
_QUEUE = 1_000_000
"""Nothing is dropped: the speed of all stages counts, not that of the first."""


class Counting(ThreadedDistributionTarget):
    """Counts what is complete, and sees that it comes in order."""

    def __init__(self, goal: int) -> None:
        super().__init__(poolsize=1)
        self.count = 0
        self.right = True
        self.reached = threading.Event()
        self._goal = goal

    def process(self, message: str) -> str:
        """Send nothing."""
        return message

    def on_complete(self, result: str) -> None:
        """Count."""
        if result != f"message {self.count}":
            self.right = False
        self.count += 1
        if self.count == self._goal:
            self.reached.set()


class Hanging(ThreadedDistributionTarget):
    """Hangs with its first message."""

    def process(self, message: str) -> None:
        """Hang."""
        del message
        threading.Event().wait()


class Raising(ThreadedDistributionTarget):
    """Raises each time."""

    def process(self, message: str) -> None:
        """Raise."""
        raise ValueError(message)


class Feed(WebSocketHandler):
    """Sends as many messages as the first one asks for."""

    async def on_message(self, message: str | bytes) -> None:
        """Send them."""
        for number in range(int(message)):
            await self.write_message(f"message {number}")


async def _distribute(kind: str, count: int) -> tuple[bool, int]:
    targets = [Counting(count) for _ in range(1 if kind == "generator" else 3)]
    distributor = Distributor()
    for target in targets:
        distributor.add_target(target, options=TargetOptions(queue=_QUEUE, full="wait"))
    if kind == "beside":
        distributor.add_target(Hanging())
        distributor.add_target(Raising())
        distributor.add_target(Hanging(), name="full", options=TargetOptions(queue=1))
    listener, port = bind_unused_port(address="127.0.0.1")
    server = HTTPServer(Application([("/", Feed)]))
    server.add_socket(listener)
    source: AbstractDistributionSource
    if kind == "generator":
        source = GeneratorSource(f"message {number}" for number in range(count))
    else:
        source = WebSocketSource(f"ws://127.0.0.1:{port}/", send_on_connect=str(count))
    distributor.add_source(source)
    running = asyncio.create_task(distributor.run())
    began = time.monotonic_ns()
    distributor.connect()
    came = await asyncio.gather(*(asyncio.to_thread(target.reached.wait, _WAIT_S) for target in targets))
    elapsed = time.monotonic_ns() - began
    await distributor.shutdown(drain_ms=100)
    await running
    server.stop()
    await server.close_all_connections()
    return all(came) and all(target.right for target in targets), elapsed


def _submit(count: int) -> tuple[bool, int]:
    """Do the same with a pool of the standard library, one message a task."""
    target = Counting(count)

    def complete(future: Future[Any]) -> None:
        target.on_complete(future.result())

    began = time.monotonic_ns()
    with ThreadPoolExecutor(1) as pool:
        for number in range(count):
            pool.submit(target.process, f"message {number}").add_done_callback(complete)
        came = target.reached.wait(_WAIT_S)
    return came and target.right, time.monotonic_ns() - began


def _send(library: str, kind: str, count: str) -> None:
    right, elapsed = (
        _submit(int(count)) if library != "colugo" else asyncio.run(_distribute(kind, int(count)))
    )
    say(f"sent {int(right)} {elapsed}")


if __name__ == "__main__":
    say("ready")
    obey({"send": lambda count: _send(sys.argv[1], sys.argv[2], count)})
