"""The base of sources that live on the loop."""

import asyncio
import time
from abc import abstractmethod
from collections.abc import Awaitable, Hashable
from typing import Any

from colugo.distributor.backoff import backoff_s
from colugo.distributor.base import AbstractDistributionSource, OnMessage
from colugo.distributor.logging_mixin import LoggingMixin
from colugo.distributor.node_mixin import NodeMixin
from colugo.errors import ConnectorNotInitialized, LifecycleError
from colugo.protocol.throttle import Throttle

_RETRY_MS = (100, 30_000)
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
    _task: asyncio.Task[None] | None = None
    _ended: asyncio.Event | None = None

    @property
    def label(self) -> str:
        """The name in logs and of the task."""
        return type(self).__name__

    @property
    def ended(self) -> bool:
        """True if the source has no more messages, or is closed."""
        return self._ended is not None and self._ended.is_set()

    async def wait_ended(self) -> None:
        """Wait until the source has no more messages, or is closed.

        Raises:
            LifecycleError: before `open`.
        """
        if self._ended is None:
            raise LifecycleError(f"{self.label} is not open; call open() first")
        await self._ended.wait()

    def set_on_message(self, message_function: OnMessage) -> None:
        """Set the function to call with each message.

        Args:
            message_function: takes the message, and returns something to await.
        """
        self._on_message = message_function

    def open(self) -> None:
        """Start `listen` as a task: of the node if there is one, else of the running loop.

        Raises:
            LifecycleError: without a node and a running loop.
            ClosedError: if the node has stopped.
        """
        if self._ended is not None and not self.ended:
            return
        self._acquire()
        ended = asyncio.Event()
        if self._node is not None:
            self._node.spawn(self._live(ended), name=self.label)
        else:
            try:
                loop = asyncio.get_running_loop()
            except RuntimeError:
                raise LifecycleError(
                    f"{self.label} needs a running loop; call open() in a coroutine"
                ) from None
            self._task = loop.create_task(self._live(ended), name=self.label)
        self._ended = ended

    def close(self, code: int = -1, reason: str = "") -> None:
        """Stop the task, and release everything.

        Args:
            code: the cause.
            reason: the cause in words.
        """
        if self._ended is not None and not self.ended:
            self._ended.set()
            self.logger.debug("%s closes: %s (%d)", self.label, reason or "no reason given", code)
            if self._task is not None:
                self._task.cancel()
        self._release()

    @abstractmethod
    async def listen(self) -> None:
        """Wait for messages and `emit` them, until the task is cancelled or there are no more."""

    def emit(self, message: Any) -> Awaitable[None]:
        """Give a message to the distributor.

        Args:
            message: the message.

        Returns:
            Something to await before the next message: it waits while the distributor has no room.

        Raises:
            ConnectorNotInitialized: if `set_on_message` has not been called.
        """
        if self._on_message is None:
            raise ConnectorNotInitialized(
                f"{self.label} has no function to call; call set_on_message() first"
            )
        self.received += 1
        return self._on_message(message)

    def decode(self, data: bytes) -> str:
        """Return UTF-8 as text; invalid parts become U+FFFD, and the message is counted in `malformed`.

        Args:
            data: the bytes of one message.
        """
        try:
            return data.decode()
        except UnicodeDecodeError:
            self.malformed += 1
            return data.decode(errors="replace")

    def _acquire(self) -> None:
        """Take what `open` needs, such as a port."""

    def _release(self) -> None:
        """Release what was taken, if anything was."""

    def _warn(
        self, subject: Hashable, text: str, *values: object, error: BaseException | None = None
    ) -> None:
        """Log a warning: at most one of its subject a minute, or each one if the subject is None."""
        throttle: Throttle = vars(self).setdefault("_throttle", Throttle())
        note = "" if subject is None else throttle.note(subject, time.monotonic())
        if note is not None:
            self.logger.warning("%s: %s%s", self.label, text % values, note, exc_info=error)

    async def _live(self, ended: asyncio.Event) -> None:
        task = asyncio.current_task()
        assert task is not None
        if not ended.is_set():
            self._task = task
        tries = 0
        try:
            while not ended.is_set():
                began = time.monotonic()
                try:
                    await self.listen()
                except (Exception, SystemExit, asyncio.CancelledError) as error:
                    if task.cancelling():
                        raise
                    kind = (type(error), str(error))
                    self._warn(kind, "listen() raised and is called again", error=error)
                else:
                    return
                tries = 1 if time.monotonic() - began > _STEADY_S else tries + 1
                await asyncio.sleep(backoff_s(tries, *_RETRY_MS))
        finally:
            ended.set()
