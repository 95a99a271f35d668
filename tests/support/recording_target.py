"""A target that keeps its outcomes, a source that a test feeds, and a distributor between them."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from colugo import Node
from colugo.distributor import (
    AbstractDistributionSource,
    AbstractDistributionTarget,
    Distributor,
    TargetOptions,
    TargetStats,
    ThreadedDistributionTarget,
)
from colugo.distributor.base import OnMessage
from colugo.distributor.threaded_target import configure, pool_of
from tests.support.essentials import seconds, wait_until

Outcome = tuple[str, Any]


class RecordingTarget(ThreadedDistributionTarget):
    """Keeps each outcome with its argument.

    Args:
        process: called with each message; a message that is an exception is raised by default.
        options: of its pool.
    """

    drain_ms = 5000

    def __init__(
        self,
        process: Callable[[Any], Any] | None = None,
        options: TargetOptions | None = None,
        name: str = "t",
    ) -> None:
        self.outcomes: list[Outcome] = []
        self._function = process or raise_or_return
        configure(self, name, options or TargetOptions(workers=1))

    @property
    def stats(self) -> TargetStats:
        return pool_of(self).stats

    def process(self, message: Any) -> Any:
        return self._function(message)

    def on_complete(self, result: Any) -> None:
        self.outcomes.append(("complete", result))

    def on_timeout(self, result: None) -> None:
        self.outcomes.append(("timeout", result))

    def on_cancel(self, result: None) -> None:
        self.outcomes.append(("cancel", result))

    def on_error(self, exception: BaseException) -> None:
        self.outcomes.append(("error", exception))

    def wait_for(self, count: int) -> list[Outcome]:
        """Return the outcomes when there are so many."""
        assert wait_until(lambda: len(self.outcomes) >= count), self.outcomes
        return self.outcomes


def raise_or_return(message: Any) -> Any:
    """Raise an exception, return anything else."""
    if isinstance(message, BaseException):
        raise message
    return message


class Gate:
    """A `process` that waits until it is opened, and returns the message."""

    def __init__(self) -> None:
        self.entered: list[Any] = []
        self._open = threading.Event()

    def __call__(self, message: Any) -> Any:
        self.entered.append(message)
        assert self._open.wait(seconds(30))
        return message

    def open(self) -> None:
        self._open.set()

    def wait_for(self, count: int) -> None:
        """Return when so many threads are within."""
        assert wait_until(lambda: len(self.entered) >= count), self.entered


class FedSource(AbstractDistributionSource):
    """Gives what a test puts into it."""

    put: OnMessage

    def open(self) -> None:
        """Do nothing."""

    def close(self, code: int = -1, reason: str = "") -> None:
        """Do nothing."""

    def set_on_message(self, message_function: OnMessage) -> None:
        self.put = message_function


@asynccontextmanager
async def distributing(
    *targets: AbstractDistributionTarget, node: Node | None = None, **options: Any
) -> AsyncIterator[tuple[Distributor, FedSource]]:
    """A running distributor of a source and the targets `t0`, `t1` …."""
    distributor, source = Distributor(node), FedSource()
    distributor.add_source(source)
    for number, target in enumerate(targets):
        distributor.add_target(target, name=f"t{number}", options=TargetOptions(**options))
    await distributor.start()
    running = asyncio.create_task(distributor.run())
    try:
        yield distributor, source
    finally:
        await distributor.shutdown(200)
        await running
