"""Background tasks with an owner and a name."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

_CANCEL_WAIT_S = 2.0


class Tasks:
    """The tasks of one owner; failures are logged, and no task outlives the owner."""

    def __init__(self, label: str, logger: logging.Logger) -> None:
        self._label = label
        self._logger = logger
        self._tasks: set[asyncio.Task[Any]] = set()

    def spawn(self, coroutine: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        """Run a coroutine as a task."""
        return self.keep(asyncio.get_running_loop().create_task(coroutine), name)

    def keep(
        self, task: asyncio.Task[Any], name: str, finished: Callable[[asyncio.Task[Any]], None] | None = None
    ) -> asyncio.Task[Any]:
        """Take over a task; `finished` handles its failure, which is otherwise logged."""
        task.set_name(f"colugo {self._label} {name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(finished or self._log_failure)
        return task

    async def cancel(self) -> None:
        """Cancel all tasks and wait up to two seconds for their end; log those that keep running."""
        tasks = self._tasks - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        if tasks:
            _, stubborn = await asyncio.wait(tasks, timeout=_CANCEL_WAIT_S)
            for task in stubborn:
                self._logger.error("%s ignores its cancellation and is left behind", task.get_name())

    def _log_failure(self, task: asyncio.Task[Any]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._logger.error("%s failed", task.get_name(), exc_info=error)
