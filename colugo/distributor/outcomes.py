"""The one outcome of each message, for its target, its receipt and the log."""

import asyncio
from collections.abc import Callable
from concurrent.futures import CancelledError
from typing import Any

from colugo.distributor.base import AbstractDistributionTarget
from colugo.distributor.endpoint_log import EndpointLog
from colugo.distributor.receipt import Receipt, settle


class CallbackTarget(AbstractDistributionTarget):
    """A target with callbacks: after `process`, exactly one of them is called, on the same thread."""

    def on_complete(self, result: Any) -> Any:
        """React to a message that has been sent.

        Args:
            result: what `process` returned.
        """

    def on_timeout(self, result: None) -> Any:
        """React to a message that took longer than `timeout_ms`, or whose `process` raised a TimeoutError.

        Args:
            result: None.
        """

    def on_cancel(self, result: None) -> Any:
        """React to a message that is not sent any more, because the target closes or `process` cancelled it.

        Args:
            result: None.
        """

    def on_error(self, exception: BaseException) -> Any:
        """React to a message that could not be formatted or sent.

        Args:
            exception: what the formatter or `process` raised.
        """


class Outcomes:
    """Reports outcomes: a callback of the target that raises is logged, and changes nothing."""

    def __init__(self, target: CallbackTarget, log: EndpointLog) -> None:
        self._target = target
        self._log = log

    def completed(self, result: Any, receipt: Receipt | None) -> None:
        """Report a message that was sent."""
        self.call(self._target.on_complete, result)
        settle(receipt, None)

    def ended(self, error: BaseException, receipt: Receipt | None) -> None:
        """Report a message that ended with an error: a timeout, a cancellation, or another one."""
        if isinstance(error, TimeoutError):
            self.warn("a message timed out", error)
            self.call(self._target.on_timeout, None)
        elif is_cancellation(error):
            self.call(self._target.on_cancel, None)
        else:
            self.warn("a message failed", error)
            self.call(self._target.on_error, error)
        settle(receipt, error)

    def warn(self, what: str, error: BaseException) -> None:
        """Log an error."""
        self._log.warn((what, type(error)), "%s: %s: %s", what, type(error).__name__, error)

    def call(self, function: Callable[..., Any], *args: Any) -> None:
        """Call a function of the target."""
        try:
            function(*args)
        except BaseException as error:  # noqa: BLE001 - logged
            what = getattr(function, "__name__", function)
            self._log.warn((function, type(error)), "%s raised", what, error=error)


def is_cancellation(error: BaseException) -> bool:
    """Return True for the CancelledError of asyncio and that of concurrent.futures, which are two classes."""
    return isinstance(error, CancelledError | asyncio.CancelledError)
