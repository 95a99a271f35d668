"""The process of the benchmark of dispatchers: one producer and one listener, in threads.

python -m tools.bench.dispatch_roles LIBRARY
"""

import sys
import threading
import time
from importlib import import_module
from typing import Any

from tools.bench.roles import obey, say

_MODULES = {"colugo": "colugo.dispatcher", "ate-dispatcher": "ate_dispatcher"}
_TTL_MS = 600_000
_WAIT_S = 30.0


class Pair:
    """A dispatcher with a producer that returns what it gets, and a listener that counts and adds up.

    Args:
        library: whose classes they are of; both have the same.
    """

    def __init__(self, library: str) -> None:
        module = import_module(_MODULES[library])
        self._reached = threading.Event()
        self._goal = self._count = self._sum = 0
        listened = self._listened

        class Returning(module.Producer):  # type: ignore[name-defined, misc]
            def produce_dispatcher_output(self, topic: str, *args: Any, **_: Any) -> Any:
                del topic
                return args[0]

        class Counting(module.ResultListener):  # type: ignore[name-defined, misc]
            def process_dispatcher_result(self, topic: str, response: Any) -> None:
                del topic
                listened(response)

        self._producer, self._listener = Returning(), Counting()
        self._dispatcher = module.ATEDispatcher()
        self._threads = self._dispatcher, self._producer, self._listener
        for thread in self._threads:
            thread.start()
        self._dispatcher.register_result_producer(self._producer, "topic")
        self._dispatcher.register_result_listener(self._listener, "topic")

    def send(self, bursts: str, each: str) -> None:
        """Send so many bursts of so many requests, each when all results of the one before have come."""
        number = int(each)
        count = int(bursts) * number
        self._count = self._sum = 0
        began = time.monotonic_ns()
        for first in range(0, count, number):
            self._goal = first + number
            self._reached.clear()
            for value in range(first, first + number):
                self._dispatcher.send_request("topic", value, ttl=_TTL_MS)
            if not self._reached.wait(_WAIT_S):
                break
        elapsed = time.monotonic_ns() - began
        right = self._sum == count * (count - 1) // 2
        say(f"sent {self._count} {int(right)} {elapsed}")

    def stop(self) -> None:
        """End the threads."""
        self._dispatcher.stop()
        for thread in self._threads:
            thread.join(_WAIT_S)

    def _listened(self, response: int) -> None:
        self._sum += response
        self._count += 1
        if self._count == self._goal:
            self._reached.set()


if __name__ == "__main__":
    pair = Pair(sys.argv[1])
    say("ready")
    obey({"send": pair.send})
    pair.stop()
