"""Calls of user code. Its parameters are inspected once, and its exceptions never stop the node."""

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable
from types import FunctionType, MethodType, NoneType
from typing import Any, TypeGuard

from colugo.errors import ConfigurationError
from colugo.net.runtime import Runtime

_UNUSUAL = inspect.CO_VARARGS | inspect.CO_VARKEYWORDS

_VALUES = frozenset({NoneType, bool, int, float, str, bytes, dict, list, tuple})

CALLBACK_ERRORS = (Exception, asyncio.CancelledError)
"""Exceptions of user code that must not stop the node; awaiting a cancelled task raises CancelledError."""


def reraise_if_cancelled(error: BaseException) -> None:
    """Raise a cancellation of this task again, but not one that user code got from a task it awaited."""
    task = asyncio.current_task()
    if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
        raise error


class Handler:
    """A user's callback.

    It gets as many arguments as it has parameters without a default (`*args` counts as none), which are
    inspected once. An exception is logged with its traceback and counted in the node's `callback_errors`.

    Args:
        label: the callback's name in the log, such as `on_connect of lab.temperature`.
        least: the fewest arguments that it may take.
        most: the most arguments that it can get.

    Attributes:
        count: the number of arguments that the callback gets.

    Raises:
        ConfigurationError: if the callback is not callable, or takes another number of arguments.
    """

    __slots__ = ("_runtime", "callback", "count", "label")

    def __init__(
        self, runtime: Runtime, callback: Callable[..., Any], label: str, *, least: int, most: int
    ) -> None:
        if not callable(callback):
            raise ConfigurationError(f"{label} must be a function, not {callback!r}")
        self._runtime = runtime
        self.callback = callback
        self.label = label
        self.count = count_parameters(callback, label, least, most)

    @property
    def is_coroutine(self) -> bool:
        """True if the callback is a coroutine function, or an object whose `__call__` is one."""
        return inspect.iscoroutinefunction(self.callback) or inspect.iscoroutinefunction(
            getattr(self.callback, "__call__", None)  # noqa: B004 - the method of a callable object
        )

    def __call__(self, *args: Any) -> Any:
        """Call the callback and return its result; exceptions propagate."""
        return self.callback(*args[: self.count])

    def run(self, *args: Any) -> None:
        """Call the callback; a coroutine runs as a task."""
        try:
            result = self.callback(*args[: self.count])
        except CALLBACK_ERRORS as error:
            self.failed(error)
            return
        if result is not None:
            self.finish(result)

    def finish(self, result: Any) -> None:
        """Run the result of a callback as a task, if it is awaitable."""
        if is_awaitable(result):
            self._runtime.spawn(self._finish(result), self.label)

    async def run_to_end(self, *args: Any) -> None:
        """Call the callback, and wait for its result if that is awaitable."""
        try:
            result = self.callback(*args[: self.count])
            if inspect.isawaitable(result):
                await result
        except CALLBACK_ERRORS as error:
            reraise_if_cancelled(error)
            self.failed(error)

    def failed(self, error: BaseException, at: str = "") -> None:
        """Log and count an exception of the callback; `at` describes the call, as in `" at message 17"`."""
        self._runtime.count_callback_error()
        self._runtime.logger.log(logging.ERROR, "%s raised%s", self.label, at, exc_info=error)

    async def _finish(self, result: Awaitable[Any]) -> None:
        try:
            await result
        except CALLBACK_ERRORS as error:
            reraise_if_cancelled(error)
            self.failed(error)


def is_awaitable(result: object) -> TypeGuard[Awaitable[Any]]:
    """Return `inspect.isawaitable(result)`, with a shortcut for the most common types."""
    return type(result) not in _VALUES and inspect.isawaitable(result)


def optional_handler(
    runtime: Runtime, callback: Callable[..., Any] | None, label: str, *, most: int
) -> Handler | None:
    """Return a handler for an optional callback that may take no argument."""
    return None if callback is None else Handler(runtime, callback, label, least=0, most=most)


def count_parameters(callback: Callable[..., Any], label: str, least: int, most: int) -> int:
    """Count the arguments that a callback gets: one for each parameter without a default.

    Raises:
        ConfigurationError: if it takes fewer than `least` or more than `most` arguments; names the label.
    """
    if isinstance(callback, (FunctionType, MethodType)):
        code = callback.__code__
        if not code.co_flags & _UNUSUAL and not code.co_kwonlyargcount and not callback.__dict__:
            needed = code.co_argcount - len(callback.__defaults__ or ()) - isinstance(callback, MethodType)
            if least <= needed <= most:
                return needed
    return _count_by_signature(callback, label, least, most)


def _count_by_signature(callback: Callable[..., Any], label: str, least: int, most: int) -> int:
    try:
        parameters = inspect.signature(callback).parameters.values()
    except ValueError:  # a builtin without a signature
        return least
    positional = [one for one in parameters if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    required = sum(one.default is one.empty for one in positional)
    unlimited = any(one.kind is one.VAR_POSITIONAL for one in parameters)
    capacity = most if unlimited else len(positional)
    keywords = [one.name for one in parameters if one.kind is one.KEYWORD_ONLY and one.default is one.empty]
    if keywords:
        raise ConfigurationError(
            f"{label} is called without keywords; {callback!r} needs {', '.join(keywords)}"
        )
    if required > most or capacity < least:
        raise ConfigurationError(
            f"{label} is called with {least} to {most} arguments; {callback!r} takes {required}"
        )
    return max(required, least)
