"""Background tasks with an owner and a name."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

_CANCEL_WAIT_S = 2.0


class Tasks:
    """The tasks of one owner; each failure is logged, and none outlives the owner.

    Args:
        label: whose tasks they are, for their names.
        logger: where failures are logged.
    """

    def __init__(self, label: str, logger: logging.Logger) -> None:
        self._label = label
        self._logger = logger
        self._tasks: set[asyncio.Task[Any]] = set()

    def spawn(self, coroutine: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        """Run a coroutine as a task."""
        return self.keep(asyncio.get_running_loop().create_task(coroutine), name)

    def keep(
        self,
        task: asyncio.Task[Any],
        name: str,
        finished: Callable[[asyncio.Task[Any]], None] | None = None,
    ) -> asyncio.Task[Any]:
        """Take over a task.

        Args:
            task: the task.
            name: what it does.
            finished: gets the task when it has ended, and sees to its failure; None to log that.
        """
        task.set_name(f"colugo {self._label} {name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(finished or self._log_failure)
        return task

    async def cancel(self) -> None:
        """Cancel them all and wait until they have ended, two seconds at most; who goes on is logged."""
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
