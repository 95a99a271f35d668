"""Calling user code: looked at once, never allowed to end the node."""

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from colugo.errors import ConfigurationError
from colugo.net.runtime import Runtime

CALLBACK_ERRORS = (Exception, asyncio.CancelledError)
"""What must not end the node, whoever raises it: awaiting a cancelled task raises CancelledError too."""


def reraise_if_cancelled(error: BaseException) -> None:
    """Let a cancellation go on if it is meant for this task, and not one that user code has met."""
    task = asyncio.current_task()
    if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
        raise error


class Handler:
    """A user's callback.

    How many arguments it gets is told by its parameters without a default (`*args` counts as none),
    looked at once. One that raises is logged with its traceback and counted in the node's
    `callback_errors`.

    Args:
        runtime: the node's.
        callback: a plain or a coroutine function.
        label: what it is, for the log, such as `on_connect of lab.temperature`.
        least: the fewest arguments it may take.
        most: the most it can get.

    Raises:
        ConfigurationError: if it is not callable, or takes another number of arguments.
    """

    __slots__ = ("_callback", "_count", "_label", "_runtime", "is_coroutine")

    def __init__(
        self, runtime: Runtime, callback: Callable[..., Any], label: str, *, least: int, most: int
    ) -> None:
        if not callable(callback):
            raise ConfigurationError(f"{label} must be a function, not {callback!r}")
        self._runtime = runtime
        self._callback = callback
        self._label = label
        self._count = _count_parameters(callback, label, least, most)
        self.is_coroutine = inspect.iscoroutinefunction(callback) or inspect.iscoroutinefunction(
            getattr(callback, "__call__", None)  # noqa: B004 - the method of a callable object
        )

    @property
    def count(self) -> int:
        """How many arguments the callback takes."""
        return self._count

    def __call__(self, *args: Any) -> Any:
        """Call it and let it raise; a coroutine function returns its coroutine."""
        return self._callback(*args[: self._count])

    def run(self, *args: Any) -> None:
        """Call it; a coroutine runs as a task."""
        try:
            result = self._callback(*args[: self._count])
        except CALLBACK_ERRORS as error:
            self.failed(error)
            return
        if inspect.isawaitable(result):
            self._runtime.spawn(self._finish(result), self._label)

    async def run_to_end(self, *args: Any) -> None:
        """Call it and wait for it if it is a coroutine."""
        try:
            result = self._callback(*args[: self._count])
            if inspect.isawaitable(result):
                await result
        except CALLBACK_ERRORS as error:
            reraise_if_cancelled(error)
            self.failed(error)

    def failed(self, error: BaseException) -> None:
        """Log and count what it raised."""
        self._runtime.callback_errors += 1
        self._runtime.logger.log(logging.ERROR, "%s raised", self._label, exc_info=error)

    async def _finish(self, result: Awaitable[Any]) -> None:
        try:
            await result
        except CALLBACK_ERRORS as error:
            reraise_if_cancelled(error)
            self.failed(error)


def optional_handler(
    runtime: Runtime, callback: Callable[..., Any] | None, label: str, *, most: int
) -> Handler | None:
    """A handler for a callback that may be left out, and may take no argument."""
    return None if callback is None else Handler(runtime, callback, label, least=0, most=most)


def _count_parameters(callback: Callable[..., Any], label: str, least: int, most: int) -> int:
    try:
        parameters = inspect.signature(callback).parameters.values()
    except ValueError:  # a builtin without a signature
        return least
    takes = [
        parameter
        for parameter in parameters
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    ]
    required = sum(parameter.default is parameter.empty for parameter in takes)
    room = most if any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters) else len(takes)
    keywords = [
        parameter.name
        for parameter in parameters
        if parameter.kind is parameter.KEYWORD_ONLY and parameter.default is parameter.empty
    ]
    if keywords:
        raise ConfigurationError(
            f"{label} is called without keywords; {callback!r} needs {', '.join(keywords)}"
        )
    if required > most or room < least:
        raise ConfigurationError(
            f"{label} is called with {least} to {most} arguments; {callback!r} takes {required}"
        )
    return max(required, least)
