"""From a source to a stream, which keeps its messages until all targets have sent them."""

import asyncio
import logging
import threading
from collections.abc import Awaitable
from typing import Any

from colugo.distributor.backoff import backoff_s
from colugo.distributor.base import QUEUED
from colugo.distributor.endpoint_log import EndpointLog
from colugo.distributor.targets.payload import as_json
from colugo.errors import EncodeError, MessageTooLargeError, StoreError, StreamFullError
from colugo.patterns.streams.stream import Stream

_LOGGER = logging.getLogger(__name__)
_RETRY_MS = (100, 10_000)


class StoredFeed:
    """Takes the messages of a source, and stores them in a stream.

    A message that is neither text nor bytes is stored as JSON.

    Args:
        stream: the stream.
        ahead: messages that are taken before they are stored, so that they share transactions. With 0, a
            source is answered when its message is stored.
        retry: True to try again if the store cannot be written; False if the sender is to do that.
    """

    def __init__(self, stream: Stream, *, ahead: int = 0, retry: bool = True) -> None:
        self.stored = 0
        """Messages stored so far."""
        self.refused = 0
        """Messages that cannot be stored, such as those that are too large."""
        self._stream = stream
        self._ahead = ahead
        self._room = asyncio.Event()
        self._retry = retry
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._tasks: set[asyncio.Future[None]] = set()
        self._log = EndpointLog("the stream")

    @property
    def pending(self) -> int:
        """Messages that are being stored."""
        return len(self._tasks)

    def put(self, message: Any) -> Awaitable[None]:
        """Store a message: on the loop, await the result; another thread waits within the call."""
        if threading.get_ident() != self._thread:
            asyncio.run_coroutine_threadsafe(self._put(message), self._loop).result()
            return QUEUED
        task = asyncio.ensure_future(self._store(message))  # stored even if it is not awaited
        self._tasks.add(task)
        task.add_done_callback(self._end)
        if not self._ahead:
            return asyncio.shield(task)  # stored even if the source is closed meanwhile
        if len(self._tasks) < self._ahead:
            return QUEUED
        self._room.clear()
        return asyncio.ensure_future(self._wait_for_room())

    async def finished(self) -> None:
        """Wait until no message is being stored."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _end(self, task: asyncio.Future[None]) -> None:
        self._tasks.discard(task)
        if len(self._tasks) <= self._ahead // 2:
            self._room.set()
        if self._ahead and not task.cancelled() and (error := task.exception()) is not None:
            _LOGGER.error("a message is not stored", exc_info=error)

    async def _wait_for_room(self) -> None:
        await self._room.wait()

    async def _put(self, message: Any) -> None:
        await self.put(message)

    async def _store(self, message: Any) -> None:
        payload = as_json(message)
        tries = 0
        while True:
            try:
                await self._stream.send_wait(payload)
            except (EncodeError, MessageTooLargeError) as error:
                if not self._retry:
                    raise
                self.refused += 1
                _LOGGER.error("a message is left out: %s", error)  # noqa: TRY400 - it is not ours
                return
            except (StoreError, StreamFullError) as error:
                if not self._retry:
                    raise
                tries += 1
                self._log.warn(
                    type(error).__name__, "a message waits, because it cannot be stored: %s", error
                )
                await asyncio.sleep(backoff_s(tries, *_RETRY_MS))
            else:
                self.stored += 1
                return
