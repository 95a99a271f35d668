"""The outcome of one message, to wait for."""

import asyncio
from concurrent.futures import CancelledError
from contextlib import suppress
from contextvars import ContextVar
from typing import Any

from colugo.errors import DistributorException


class Receipt:
    """The outcome of one message at one target; made on the loop, settled on any thread.

    Attributes:
        taken: True if a queue has taken over the message, and will settle the receipt.
    """

    __slots__ = ("_future", "_loop", "taken")

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._future: asyncio.Future[None] = self._loop.create_future()
        self.taken = False

    async def outcome(self) -> None:
        """Wait until the target is done with the message.

        Raises:
            Exception: what `on_error` was called with; a TimeoutError after `on_timeout`; a
                `DistributorException` after `on_cancel`, and if the queue was full.
        """
        await self._future

    def settle(self, error: BaseException | None) -> None:
        """End the wait; None after `on_complete`. Only the first call counts."""
        with suppress(RuntimeError):  # the loop has been closed
            self._loop.call_soon_threadsafe(self._set, error)

    def _set(self, error: BaseException | None) -> None:
        if self._future.done():
            return
        if error is None:
            self._future.set_result(None)
        elif isinstance(error, CancelledError | asyncio.CancelledError):
            self._future.set_exception(DistributorException("the target did not send the message"))
        elif isinstance(error, Exception) and not isinstance(error, StopIteration):
            self._future.set_exception(error)
        else:  # a future takes no StopIteration, and a task would end the loop with a SystemExit
            text = f"the target raised {type(error).__name__}: {error}"
            self._future.set_exception(DistributorException(text))


def settle(receipt: Receipt | None, error: BaseException | None) -> None:
    """Settle a receipt, if there is one."""
    if receipt is not None:
        receipt.settle(error)


Item = tuple[Any, Receipt | None]
"""A message, and the receipt to settle with it."""
CURRENT_RECEIPT: ContextVar[Receipt | None] = ContextVar("colugo_distributor_receipt", default=None)
"""The receipt of the message that `on_message` is called with, also within a subclass's coroutine."""
