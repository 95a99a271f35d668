"""User code: the number of arguments that it gets, and exceptions that do not stop the node."""

import asyncio
import functools
import inspect
import logging
from collections.abc import Callable, Coroutine
from typing import Any
from unittest.mock import Mock

import pytest

from colugo.errors import ConfigurationError
from colugo.patterns.callbacks import Handler, optional_handler
from tests.support.essentials import run


class FakeRuntime:
    """The part of a node's runtime that a handler uses."""

    def __init__(self) -> None:
        self.callback_errors = 0
        self.logger = logging.getLogger("callback test")
        self.tasks: list[asyncio.Task[None]] = []

    def count_callback_error(self) -> None:
        self.callback_errors += 1

    def spawn(self, coroutine: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        self.tasks.append(asyncio.get_running_loop().create_task(coroutine, name=name))
        return self.tasks[-1]


def handler(callback: Any, *, least: int = 1, most: int = 2, runtime: FakeRuntime | None = None) -> Handler:
    fake: Any = runtime or FakeRuntime()
    return Handler(fake, callback, "callback of lab", least=least, most=most)


class Owner:
    """Callables of every kind that a class can hold."""

    def __init__(self) -> None:
        self.got: list[tuple[Any, ...]] = []

    def method(self, message: Any) -> None:
        self.got.append((message,))

    def method_with_info(self, message: Any, info: Any) -> None:
        self.got.append((message, info))

    async def coroutine_method(self, message: Any) -> None:
        self.got.append((message,))

    @classmethod
    def of_class(cls, message: Any, info: Any) -> None:
        """Takes both."""

    @staticmethod
    def static(message: Any) -> None:
        """Takes one."""

    def __call__(self, message: Any, info: Any) -> None:
        self.got.append((message, info))


class AsyncCallable:
    async def __call__(self, message: Any) -> None:
        """Takes one."""


class Record:
    def __init__(self, message: Any, info: Any = None) -> None:
        self.message = message


def one(message: Any) -> None:
    """Takes one."""


def two(message: Any, info: Any) -> None:
    """Takes two."""


async def coroutine_of_one(message: Any) -> None:
    """Takes one."""


async def coroutine_of_two(message: Any, info: Any) -> None:
    """Takes two."""


def wrapped(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return call


async def next_turn() -> None:
    """Return in the loop's next turn."""
    loop = asyncio.get_running_loop()
    turn = loop.create_future()
    loop.call_soon(turn.set_result, None)
    await turn


# --- the number of arguments


@pytest.mark.parametrize(
    ("callback", "count"),
    [
        (lambda message: None, 1),
        (lambda message, info: None, 2),
        (lambda message, info=None: None, 1),
        (lambda message=None: None, 1),
        (lambda *args: None, 1),
        (lambda message, *args: None, 1),
        (lambda message, info, *args: None, 2),
        (lambda message, **kwargs: None, 1),
        (lambda message, /, info: None, 2),
        (lambda message, *, option=1: None, 1),
        (one, 1),
        (two, 2),
        (coroutine_of_one, 1),
        (coroutine_of_two, 2),
        (Owner().method, 1),
        (Owner().method_with_info, 2),
        (Owner().coroutine_method, 1),
        (Owner.of_class, 2),
        (Owner().of_class, 2),
        (Owner.static, 1),
        (Owner(), 2),
        (AsyncCallable(), 1),
        (Record, 1),
        (functools.partial(two, "first"), 1),
        (functools.partial(two, info="kept"), 1),
        (functools.partial(coroutine_of_two, "first"), 1),
        (functools.partial(print, "lab:"), 1),
        (functools.lru_cache(two), 2),
        (wrapped(two), 2),
        (wrapped(one), 1),
        (Mock(), 1),
        (print, 1),
        ([].append, 1),
        (set().add, 1),
        ({}.update, 1),
        (max, 1),
        (str, 1),
    ],
)
def test_a_callback_gets_as_many_arguments_as_it_has_parameters_without_a_default(
    callback: Any, count: int
) -> None:
    assert handler(callback).count == count


@pytest.mark.parametrize(
    ("callback", "count"),
    [
        (lambda: None, 0),
        (lambda peer: None, 1),
        (lambda peer, reason: None, 2),
        (lambda peer=None: None, 0),
        (lambda *args: None, 0),
        (print, 0),
        ([].append, 1),
        ([].clear, 0),
        (asyncio.Event().set, 0),
    ],
)
def test_a_callback_that_may_take_nothing_is_given_nothing_unless_it_asks(callback: Any, count: int) -> None:
    assert handler(callback, least=0).count == count


@pytest.mark.parametrize(
    "callback",
    [
        lambda: None,
        lambda message, info, more: None,
        lambda message, info, more, *args: None,
        lambda **kwargs: None,
        [].clear,
        Owner.method_with_info,
        functools.partial(one, "given"),
        asyncio.Event().set,
    ],
)
def test_a_callback_that_cannot_be_called_so_is_refused_when_it_is_given(callback: Any) -> None:
    with pytest.raises(ConfigurationError, match="callback of lab is called with 1 to 2 arguments") as caught:
        handler(callback)
    assert repr(callback) in str(caught.value)


def test_a_callback_that_needs_a_keyword_is_refused_when_it_is_given() -> None:
    def needs_a_keyword(message: Any, *, unit: str) -> None:
        """Can never be called."""

    with pytest.raises(ConfigurationError, match="unit"):
        handler(needs_a_keyword)


@pytest.mark.parametrize("thing", [None, 5, "on_message", object()])
def test_what_is_no_function_is_refused(thing: Any) -> None:
    with pytest.raises(ConfigurationError, match="callback of lab must be a function") as caught:
        handler(thing)
    assert repr(thing) in str(caught.value)


def test_an_optional_callback_may_be_left_out() -> None:
    runtime: Any = FakeRuntime()
    assert optional_handler(runtime, None, "on_connect of lab", most=1) is None
    given = optional_handler(runtime, lambda: None, "on_connect of lab", most=1)
    assert given is not None
    assert given.count == 0


def test_parameters_are_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looked = Mock(side_effect=inspect.signature)
    monkeypatch.setattr(inspect, "signature", looked)
    owner = Owner()
    ours = handler(owner.method)
    looks = looked.call_count
    for number in range(100):
        ours.run(number, "info")
    assert looked.call_count == looks
    assert len(owner.got) == 100


# --- coroutine functions


@pytest.mark.parametrize(
    ("callback", "is_coroutine"),
    [
        (one, False),
        (coroutine_of_one, True),
        (Owner().method, False),
        (Owner().coroutine_method, True),
        (AsyncCallable(), True),
        (Owner(), False),
        (functools.partial(coroutine_of_two, "first"), True),
        (functools.partial(two, "first"), False),
        (print, False),
        ([].append, False),
    ],
)
def test_coroutine_functions_are_told_from_plain_ones(callback: Any, is_coroutine: bool) -> None:  # noqa: FBT001 - pytest passes it by name
    assert handler(callback).is_coroutine is is_coroutine


# --- calling


@pytest.mark.parametrize(
    ("method", "got"),
    [("method", ("21.5",)), ("method_with_info", ("21.5", "info")), ("__call__", ("21.5", "info"))],
)
def test_run_gives_the_first_arguments(method: str, got: tuple[str, ...]) -> None:
    owner = Owner()
    handler(getattr(owner, method)).run("21.5", "info")
    assert owner.got == [got]


def test_a_default_keeps_its_value() -> None:
    got: list[tuple[Any, Any]] = []

    def callback(message: Any, room: str = "lab") -> None:
        got.append((message, room))

    handler(callback).run("21.5", "info")
    assert got == [("21.5", "lab")]


def test_list_append_collects_messages_without_their_info() -> None:
    got: list[str] = []
    handler(got.append).run("21.5", "info")
    assert got == ["21.5"]


def test_print_prints_the_message_alone(capsys: pytest.CaptureFixture[str]) -> None:
    handler(print).run("21.5", "info")
    assert capsys.readouterr().out == "21.5\n"


def test_a_direct_call_returns_and_raises_what_the_callback_does() -> None:
    assert handler(lambda message: message.upper())("a", "info") == "A"
    with pytest.raises(AttributeError):
        handler(lambda message: message.upper())(5, "info")


def test_a_coroutine_runs_as_a_task_of_the_callbacks_name() -> None:
    async def main() -> None:
        runtime, owner = FakeRuntime(), Owner()
        handler(owner.coroutine_method, runtime=runtime).run("21.5", "info")
        assert owner.got == []
        assert [task.get_name() for task in runtime.tasks] == ["callback of lab"]
        await runtime.tasks[0]
        assert owner.got == [("21.5",)]

    run(main())


def test_an_awaitable_of_a_plain_function_is_awaited_too() -> None:
    async def main() -> None:
        runtime, owner = FakeRuntime(), Owner()
        ours = handler(lambda message: owner.coroutine_method(message), runtime=runtime)  # noqa: PLW0108 - a plain function is the point
        assert not ours.is_coroutine
        ours.run("a")
        await runtime.tasks[0]
        await ours.run_to_end("b")
        assert owner.got == [("a",), ("b",)]

    run(main())


def test_run_to_end_returns_when_the_coroutine_has_ended() -> None:
    async def main() -> None:
        owner = Owner()
        await handler(owner.coroutine_method).run_to_end("a", "info")
        await handler(owner.method).run_to_end("b", "info")
        assert owner.got == [("a",), ("b",)]

    run(main())


# --- raising


def fail(message: Any) -> None:
    raise ValueError(f"no such door: {message}")


async def fail_later(message: Any) -> None:
    await next_turn()
    raise ValueError(f"no such door: {message}")


@pytest.mark.parametrize("callback", [fail, fail_later])
@pytest.mark.parametrize("to_end", [False, True])
def test_a_callback_that_raises_is_logged_with_its_traceback_and_counted(
    callback: Callable[[Any], Any], caplog: pytest.LogCaptureFixture, *, to_end: bool
) -> None:
    runtime = FakeRuntime()

    async def main() -> None:
        ours = handler(callback, runtime=runtime)
        for message in "ab":
            if to_end:
                await ours.run_to_end(message)
            else:
                ours.run(message)
        await asyncio.gather(*runtime.tasks)

    run(main())
    assert runtime.callback_errors == 2
    assert [record.getMessage() for record in caplog.records] == ["callback of lab raised"] * 2
    assert [record.levelname for record in caplog.records] == ["ERROR"] * 2
    assert "no such door: a" in caplog.text
    assert f"in {callback.__name__}" in caplog.text


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_what_is_meant_to_end_the_program_goes_through(error: type[BaseException]) -> None:
    runtime = FakeRuntime()
    with pytest.raises(error):
        handler(Mock(side_effect=error), runtime=runtime).run("a")
    assert runtime.callback_errors == 0


def test_a_cancelled_coroutine_is_cancelled_and_no_error() -> None:
    runtime = FakeRuntime()

    async def main() -> None:
        async def wait_for_ever(message: Any) -> None:
            await asyncio.get_running_loop().create_future()

        task = asyncio.ensure_future(handler(wait_for_ever, runtime=runtime).run_to_end("a"))
        await next_turn()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(main())
    assert runtime.callback_errors == 0


def test_arguments_beyond_the_most_are_never_needed() -> None:
    fake: Any = FakeRuntime()
    with pytest.raises(ConfigurationError, match="0 to 0 arguments"):
        Handler(fake, one, "repeater 100 ms", least=0, most=0)
