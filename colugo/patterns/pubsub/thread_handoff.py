"""The queue of messages from other threads to the node's thread."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from colugo.net.runtime import Runtime

TURN_S = 0.005
"""The time that messages may be sent one after another before the loop's other work has its turn."""


class ThreadHandoff:
    """Passes messages on to the node's thread in their order.

    Args:
        runtime: the node's runtime.
        take: called on the node's thread with each payload, and True if it is text.
    """

    def __init__(self, runtime: Runtime, take: Callable[[Any, bool], None]) -> None:
        self._runtime = runtime
        self._take = take
        self._waiting: deque[tuple[Any, bool]] = deque()
        self._scheduled = False
        self._closed = False

    def put(self, payload: Any, *, text: bool) -> None:
        """Add a message; from any thread.

        Raises:
            ClosedError: after the node has stopped.
        """
        self._waiting.append((payload, text))
        if not self._scheduled:
            self._scheduled = True
            self._runtime.submit(self._take_some)

    def close(self, limit_s: float) -> None:
        """Pass on the waiting messages, and none later.

        Args:
            limit_s: seconds that this may take.
        """
        self._closed = True
        self._pass_on(limit_s)

    def _take_some(self) -> None:
        if self._closed:
            return
        self._pass_on(TURN_S)
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._take_some)
            return
        self._scheduled = False
        if self._waiting:  # added between the check above and this
            self._runtime.submit(self._take_some)

    def _pass_on(self, limit_s: float) -> None:
        until = time.monotonic() + limit_s
        while self._waiting and time.monotonic() < until:
            self._take(*self._waiting.popleft())
