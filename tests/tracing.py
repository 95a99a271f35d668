"""Which lines of some functions run, and how often: what coverage and step counts of tests stand on."""

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import CodeType, FrameType, FunctionType, ModuleType
from typing import Any

Line = tuple[str, int]
"""The name of a function, and the number of a line in its file."""
_Trace = Callable[[FrameType, str, Any], Any]


def functions_of(module: ModuleType) -> list[Callable[..., Any]]:
    """The functions that the module defines, methods included."""
    classes = [value for value in vars(module).values() if isinstance(value, type)]
    values = [value for holder in (module, *classes) for value in vars(holder).values()]
    return [
        value for value in values if isinstance(value, FunctionType) and value.__module__ == module.__name__
    ]


def code_lines(*functions: Callable[..., Any]) -> set[Line]:
    """All lines of the functions that hold code, the comprehensions inside them included."""
    return {(code.co_qualname, line) for code in _codes(functions) for _, _, line in code.co_lines() if line}


@contextmanager
def lines_run(*functions: Callable[..., Any]) -> Iterator[Counter[Line]]:
    """Count the lines of the functions that run within a `with` block."""
    wanted = _codes(functions)
    counts: Counter[Line] = Counter()

    def local(frame: FrameType, event: str, argument: Any) -> _Trace:
        if event == "line":
            counts[frame.f_code.co_qualname, frame.f_lineno] += 1
        return local

    def enter(frame: FrameType, event: str, argument: Any) -> _Trace | None:
        if frame.f_code not in wanted:
            return None
        counts[frame.f_code.co_qualname, frame.f_lineno] += 1
        return local

    before = sys.gettrace()
    sys.settrace(enter)
    try:
        yield counts
    finally:
        sys.settrace(before)


def _codes(functions: tuple[Callable[..., Any], ...]) -> set[CodeType]:
    codes: set[CodeType] = set()
    waiting = [function.__code__ for function in functions if isinstance(function, FunctionType)]
    assert len(waiting) == len(functions), "only plain functions can be traced"
    while waiting:
        code = waiting.pop()
        codes.add(code)
        waiting += [constant for constant in code.co_consts if isinstance(constant, CodeType)]
    return codes
