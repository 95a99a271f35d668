"""The one outcome of each message, for its target, its receipt and the log."""

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import CancelledError
from typing import Any, Protocol

from colugo.distributor.receipt import Receipt
from colugo.protocol.throttle import Throttle

_LOGGER = logging.getLogger(__name__)


class PoolTarget(Protocol):
    """The methods that a pool calls, on its threads: `process`, then exactly one of the others."""

    def process(self, message: Any) -> Any:
        """Send a message."""

    def on_complete(self, result: Any) -> Any:
        """React to what `process` returned."""

    def on_timeout(self, result: None) -> Any:
        """React to a timeout."""

    def on_cancel(self, result: None) -> Any:
        """React to a message that is not sent any more."""

    def on_error(self, exception: BaseException) -> Any:
        """React to what `process` raised."""


class Outcomes:
    """Reports outcomes: a callback of the target that raises is logged, and changes nothing.

    Args:
        target: whose callbacks are called.
        name: of the target, for the log.
    """

    def __init__(self, target: PoolTarget, name: str) -> None:
        self._target = target
        self._name = name
        self._throttle = Throttle()

    def completed(self, result: Any, receipt: Receipt | None) -> None:
        """Report a message that was sent."""
        self.call(self._target.on_complete, result)
        if receipt is not None:
            receipt.settle(None)

    def cancelled(self, receipt: Receipt | None) -> None:
        """Report a message that is not sent any more."""
        self.call(self._target.on_cancel, None)
        if receipt is not None:
            receipt.settle(CancelledError())

    def ended(self, error: BaseException, receipt: Receipt | None) -> None:
        """Report a message that ended with an error: a timeout, a cancellation, or another one."""
        if isinstance(error, TimeoutError):
            self.log("a message timed out", error)
            self.call(self._target.on_timeout, None)
        elif is_cancellation(error):
            self.call(self._target.on_cancel, None)
        else:
            self.log("a message failed", error)
            self.call(self._target.on_error, error)
        if receipt is not None:
            receipt.settle(error)

    def log(self, what: str, error: BaseException) -> None:
        """Log an error; at most one of its kind a minute."""
        note = self._throttle.note((what, type(error)), time.monotonic())
        if note is not None:
            _LOGGER.warning("target %s: %s: %s: %s%s", self._name, what, type(error).__name__, error, note)

    def call(self, function: Callable[..., Any], *args: Any) -> None:
        """Call a function of the target."""
        try:
            function(*args)
        except BaseException as error:
            note = self._throttle.note((function, type(error)), time.monotonic())
            if note is not None:
                what = getattr(function, "__name__", function)
                _LOGGER.exception("target %s: %s raised%s", self._name, what, note)


def is_cancellation(error: BaseException) -> bool:
    """Return True for the CancelledError of asyncio and that of concurrent.futures, which are two classes."""
    return isinstance(error, CancelledError | asyncio.CancelledError)
