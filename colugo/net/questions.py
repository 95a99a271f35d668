"""The questions that a node's endpoint answers, and their handlers."""

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from colugo.errors import ClosedError, ConfigurationError, LifecycleError
from colugo.net.transport.tasks import Tasks
from colugo.protocol.error_report import ErrorReport, report_error
from colugo.protocol.membership.control import Answer, Question

QuestionHandler = Callable[[dict[str, Any]], Any]
"""A function of a question's arguments, called on the loop; it returns a JSON value, or an awaitable of one.

The answer to a handler that raises is the error. It is logged, except for a `ConfigurationError`, which is
about the arguments.
"""

MAX_IN_PROGRESS = 100
"""The limit of answers of one node that are in progress at the same time."""


class Questions:
    """The questions that a node answers.

    `reply` is called with the connection's identity and the answer; it never raises.
    """

    def __init__(self, reply: Callable[[bytes, Answer], None], tasks: Tasks, logger: logging.Logger) -> None:
        self._reply = reply
        self._tasks = tasks
        self._logger = logger
        self._handlers: dict[str, QuestionHandler] = {}
        self._in_progress: dict[asyncio.Task[Any], tuple[bytes, Question]] = {}

    def serve(self, question: str, handler: QuestionHandler) -> None:
        """Answer a question from now on.

        Raises:
            LifecycleError: if the question has a handler already.
        """
        if question in self._handlers:
            raise LifecycleError(f"the question {question!r} is answered already")
        self._handlers[question] = handler

    def unserve(self, question: str, why: str) -> None:
        """Stop answering a question; pending ones get a `ClosedError` with this text."""
        self._handlers.pop(question, None)
        error = report_error(ClosedError(why))
        for task, (identity, asked) in list(self._in_progress.items()):
            if asked.question == question:
                del self._in_progress[task]
                task.cancel()
                self._reply(identity, Answer(asked.number, error=error))

    def answer(self, identity: bytes, question: Question) -> None:
        """Answer a question, now or when the handler's awaitable is done."""
        handler = self._handlers.get(question.question)
        if handler is None:
            known = ", ".join(sorted(self._handlers))
            text = f"no question {question.question!r}; this node answers: {known}"
            self._reply(identity, Answer(question.number, error=ErrorReport("LookupError", text)))
            return
        try:
            result = handler(question.arguments)
            if inspect.isawaitable(result):
                self._begin(identity, question, result)
                return
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - logged there
            self._fail(identity, question, error)
            return
        self._reply(identity, Answer(question.number, result=result))

    def close(self) -> None:
        """Stop answering all questions."""
        for question in list(self._handlers):
            self.unserve(question, "the node is being stopped")

    def _begin(self, identity: bytes, question: Question, result: Awaitable[Any]) -> None:
        # not wrapped: a wrapper that is cancelled before its first step would leave it unawaited
        coroutine = result if inspect.iscoroutine(result) else _wait(result)
        if len(self._in_progress) >= MAX_IN_PROGRESS:
            coroutine.close()
            if isinstance(result, asyncio.Future):
                result.cancel()
            text = f"{MAX_IN_PROGRESS} answers are in progress; ask again later"
            self._reply(identity, Answer(question.number, error=report_error(LifecycleError(text))))
            return
        task = asyncio.get_running_loop().create_task(coroutine)
        self._in_progress[task] = (identity, question)
        self._tasks.keep(task, f"answer to {question.question}", self._finished)

    def _finished(self, task: asyncio.Task[Any]) -> None:
        error = asyncio.CancelledError("was cancelled") if task.cancelled() else task.exception()
        asked = self._in_progress.pop(task, None)
        if asked is None:  # `unserve` has cancelled it, and has answered
            if error is not None and not task.cancelled():
                self._logger.error("%s failed", task.get_name(), exc_info=error)
            return
        identity, question = asked
        if error is not None:
            self._fail(identity, question, error)
        else:
            self._reply(identity, Answer(question.number, result=task.result()))

    def _fail(self, identity: bytes, question: Question, error: BaseException) -> None:
        if not isinstance(error, ConfigurationError):  # an error of the one who asks
            self._logger.error("the answer to %r failed", question.question, exc_info=error)
        self._reply(identity, Answer(question.number, error=report_error(error)))


async def _wait(result: Awaitable[Any]) -> Any:
    return await result
