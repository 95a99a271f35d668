"""Messages that other threads send, on their way to the node's."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from colugo.net.runtime import Runtime

TURN_S = 0.005
"""For how long messages may go out one after another before the loop's other work has its turn."""


class ThreadHandoff:
    """Hands messages over to the node's thread, in their order.

    Args:
        runtime: the node's.
        take: gets each one's payload, and whether it is text, on the node's thread.
    """

    def __init__(self, runtime: Runtime, take: Callable[[Any, bool], None]) -> None:
        self._runtime = runtime
        self._take = take
        self._waiting: deque[tuple[Any, bool]] = deque()
        self._told = False
        self._closed = False

    def put(self, payload: Any, *, text: bool) -> None:
        """Leave one here; from any thread.

        Raises:
            ClosedError: after the node has stopped.
        """
        self._waiting.append((payload, text))
        if not self._told:
            self._told = True
            self._runtime.submit(self._take_some)

    def close(self, seconds: float) -> None:
        """Hand over what is there, and nothing later.

        Args:
            seconds: how long that may take.
        """
        self._closed = True
        self._hand_over(seconds)

    def _take_some(self) -> None:
        if self._closed:
            return
        self._hand_over(TURN_S)
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._take_some)
            return
        self._told = False
        if self._waiting:  # one that came between the last look and this
            self._runtime.submit(self._take_some)

    def _hand_over(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while self._waiting and time.monotonic() < until:
            self._take(*self._waiting.popleft())
