"""Targets whose messages are sent on threads of their own."""

from collections.abc import Awaitable, Callable
from typing import Any, ClassVar

import msgspec

from colugo.distributor.base import QUEUED
from colugo.distributor.formatters.formatter import IFormatter
from colugo.distributor.outcomes import CallbackTarget
from colugo.distributor.receipt import CURRENT_RECEIPT
from colugo.distributor.target_options import TargetOptions
from colugo.distributor.worker_pool import WorkerPool

DEFAULT_WORKERS = 10


class ThreadedDistributionTarget(CallbackTarget):
    """A target with a bounded queue and threads of its own, so that it holds up no other.

    `on_message` queues a message. `process` is called with it on a thread, and then exactly one of
    `on_complete`, `on_timeout`, `on_cancel` and `on_error`, on the same thread. Override `process`, and those
    that you need.

    A subclass need not call `super().__init__()` or `super().close()`.

    Args:
        poolsize: threads that call `process`. With more than one, messages may leave in another order.
        initializer: called first on each thread.
    """

    default_options: ClassVar[TargetOptions] = TargetOptions(workers=DEFAULT_WORKERS, retries=0)
    """The options that stand for None in those of a distributor."""
    retry_on: ClassVar[tuple[type[BaseException], ...]] = (Exception,)
    """The exceptions of `process` after which it is tried again, if `retries` is not 0."""
    drain_ms: ClassVar[int] = 5000
    """Milliseconds that `close` waits for messages that are queued or being sent."""

    # Class attributes, so that nothing depends on __init__: attrs' classes do not call that of their base.
    _pool_size: int | None = None
    _pool_initializer: Callable[[], object] | None = None
    _pool_name: str | None = None
    _pool_options: TargetOptions = TargetOptions()
    _worker_pool: WorkerPool | None = None
    _formatter: IFormatter | None = None

    def __init__(
        self, poolsize: int = DEFAULT_WORKERS, initializer: Callable[[], object] | None = None
    ) -> None:
        if poolsize != DEFAULT_WORKERS:
            self._pool_size = poolsize
        self._pool_initializer = initializer

    @property
    def formatter(self) -> IFormatter | None:
        """The formatter of messages; None to send them as they are."""
        return self._formatter

    @formatter.setter
    def formatter(self, formatter: IFormatter | None) -> None:
        object.__setattr__(self, "_formatter", formatter)

    def open(self) -> None:
        """Do nothing: the threads start with the first messages."""

    def close(self, code: int = -1, reason: str = "") -> None:  # noqa: ARG002 - for subclasses
        """Wait for what is queued, at most `drain_ms`, cancel the rest, and release everything.

        Args:
            code: the cause.
            reason: the cause in words.
        """
        pool_of(self).close(self.drain_ms / 1000)
        self._release()

    def _release(self) -> None:
        """Release what the target holds, such as a connection; `close` calls it when nothing waits."""

    def on_message(self, message: Any) -> Awaitable[Any]:
        """Format a message and queue it, without waiting. You may call it from any thread.

        Args:
            message: the message.

        Returns:
            Something that you may await or throw away: with `full="wait"` and a full queue it waits for room.

        Raises:
            ClosedError: after `close`.
        """
        pool = self._worker_pool or pool_of(self)
        receipt = CURRENT_RECEIPT.get()
        queued: Awaitable[Any] = QUEUED
        try:
            if self._formatter is not None:
                message = self._formatter.format(message)
        except Exception as error:  # noqa: BLE001 - handed to on_error
            pool.fail(error, receipt)
        else:
            queued = pool.submit(message, receipt)
        if receipt is not None:
            receipt.taken = True
        return queued


def configure(target: ThreadedDistributionTarget, name: str, options: TargetOptions) -> None:
    """Give a target its name and options, and a new pool, before its first message."""
    vars(target).pop("_worker_pool", None)
    object.__setattr__(target, "_pool_name", name)
    object.__setattr__(target, "_pool_options", options)


def pool_of(target: ThreadedDistributionTarget) -> WorkerPool:
    """Return the pool of a target; the first call makes it."""
    pool = target._worker_pool  # noqa: SLF001 - hidden from users' subclasses, not from us
    if pool is None:
        default, given = target.default_options, target._pool_options  # noqa: SLF001
        workers = given.workers or target._pool_size or default.workers  # noqa: SLF001
        options = msgspec.structs.replace(
            given,
            workers=workers,
            timeout_ms=default.timeout_ms if given.timeout_ms is None else given.timeout_ms,
            retries=default.retries if given.retries is None else given.retries,
        )
        pool = WorkerPool(
            target,
            target._pool_name or type(target).__name__,  # noqa: SLF001
            options,
            retry_on=target.retry_on,
            initializer=target._pool_initializer,  # noqa: SLF001
        )
        pool = vars(target).setdefault("_worker_pool", pool)  # two threads may be the first
    return pool
