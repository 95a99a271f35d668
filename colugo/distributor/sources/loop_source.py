"""The base of sources that live on the loop."""

import asyncio
import time
from abc import abstractmethod
from collections.abc import Awaitable
from typing import Any

from colugo.distributor.backoff import backoff_s
from colugo.distributor.base import AbstractDistributionSource, OnMessage
from colugo.distributor.logging_mixin import LoggingMixin
from colugo.distributor.node_mixin import NodeMixin
from colugo.errors import ConnectorNotInitialized, LifecycleError
from colugo.protocol.throttle import Throttle

_RETRY_MS = 100
_MAX_RETRY_MS = 30_000
_STEADY_S = 60.0
"""After so long without an error, the next one counts as the first."""


class LoopSource(AbstractDistributionSource, LoggingMixin, NodeMixin):
    """A source whose `listen` runs as a task on the loop.

    If `listen` raises, the error is logged and `listen` is called again after a pause with full jitter, up to
    100 ms at first and 30 s later. If it returns, the source has ended. Call `open` and `close` on the loop.

    A subclass need not call `super().__init__()`:

    ```python
    class Sensor(LoopSource):
        async def listen(self) -> None:
            while True:
                await self.emit(await read_sensor())
    ```

    Attributes:
        received: messages handed to the distributor.
        malformed: messages, or parts of the input, that were not as they should be.
        reconnects: connections made after the first one.
    """

    received: int = 0
    malformed: int = 0
    reconnects: int = 0

    _on_message: OnMessage | None = None
    _life: "_Life | None" = None

    def __init__(self) -> None:
        super().__init__()

    @property
    def label(self) -> str:
        """The name in logs and of the task."""
        return type(self).__name__

    @property
    def ended(self) -> bool:
        """True if the source has no more messages, or is closed."""
        return self._life is not None and self._life.ended.is_set()

    async def wait_ended(self) -> None:
        """Wait until the source has no more messages, or is closed.

        Raises:
            LifecycleError: before `open`.
        """
        if self._life is None:
            raise LifecycleError(f"{self.label} is not open; call open() first")
        await self._life.ended.wait()

    def set_on_message(self, message_function: OnMessage) -> None:
        """Set the function to call with each message, and to await."""
        self._on_message = message_function

    def open(self) -> None:
        """Start `listen` as a task: of the node if there is one, else of the running loop.

        Raises:
            LifecycleError: without a node and a running loop.
            ClosedError: if the node has stopped.
        """
        if self._life is not None and not self.ended:
            return
        if self._node is None:
            try:
                loop = asyncio.get_running_loop()
            except RuntimeError:
                raise LifecycleError(
                    f"{self.label} needs a running loop; call open() in a coroutine"
                ) from None
            life = self._life = _Life()
            life.task = loop.create_task(self._live(life), name=self.label)
        else:
            life = self._life = _Life()
            self._node.spawn(self._live(life), name=self.label)

    def close(self, code: int = -1, reason: str = "") -> None:
        """Stop the task.

        Args:
            code: the cause.
            reason: the cause in words.
        """
        if self._life is None or self._life.ended.is_set():
            return
        self._life.ended.set()
        self.logger.debug("%s closes: %s (%d)", self.label, reason or "no reason given", code)
        if self._life.task is not None:
            self._life.task.cancel()

    @abstractmethod
    async def listen(self) -> None:
        """Wait for messages and `emit` them, until the task is cancelled or there are no more."""

    def hand_over(self, message: Any) -> Awaitable[None]:
        """Give a message to the distributor.

        Returns:
            Something to await before the next message.

        Raises:
            ConnectorNotInitialized: if `set_on_message` has not been called.
        """
        if self._on_message is None:
            raise ConnectorNotInitialized(
                f"{self.label} has no function to call; call set_on_message() first"
            )
        self.received += 1
        return self._on_message(message)

    async def emit(self, message: Any) -> None:
        """Give a message to the distributor, and wait while it has no room.

        Raises:
            ConnectorNotInitialized: if `set_on_message` has not been called.
        """
        await self.hand_over(message)

    def decode(self, data: bytes) -> str:
        """Return UTF-8 as text; invalid parts become U+FFFD, and the message is counted in `malformed`."""
        try:
            return data.decode()
        except UnicodeDecodeError:
            self.malformed += 1
            return data.decode(errors="replace")

    async def _live(self, life: "_Life") -> None:
        task = life.task = asyncio.current_task()
        assert task is not None
        tries = 0
        try:
            while not life.ended.is_set():
                began = time.monotonic()
                try:
                    await self.listen()
                except asyncio.CancelledError as error:
                    if task.cancelling():
                        raise
                    self._report(error, life)
                except Exception as error:  # noqa: BLE001 - logged, and tried again
                    self._report(error, life)
                else:
                    return
                tries = 1 if time.monotonic() - began > _STEADY_S else tries + 1
                await asyncio.sleep(backoff_s(tries, _RETRY_MS, _MAX_RETRY_MS))
        finally:
            life.ended.set()

    def _report(self, error: BaseException, life: "_Life") -> None:
        note = life.throttle.note((type(error), str(error)), time.monotonic())
        if note is not None:
            self.logger.error("%s raised and starts again%s", self.label, note, exc_info=error)


class _Life:
    """The time from one `open` to the next."""

    def __init__(self) -> None:
        self.task: asyncio.Task[None] | None = None
        self.ended = asyncio.Event()
        self.throttle = Throttle()
