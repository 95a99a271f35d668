"""A tracer of lines and branches in some functions, for coverage and step counts in tests."""

import dis
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import CodeType, FrameType, FunctionType, ModuleType
from typing import Any

Line = tuple[str, int]
"""The name of a function, and the number of a line in its file."""
Branch = tuple[str, int | None, int, bool]
"""The name of a function, a line in its file, a jump in its code, and whether it is taken."""
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


def branches(*functions: Callable[..., Any]) -> set[Branch]:
    """List both branches of each condition in the functions.

    Left out is whether an exception is of the class that an `except` names.
    """
    return {
        (code.co_qualname, line, at, taken)
        for code in _codes(functions)
        for at, (_, line) in _jumps(code).items()
        for taken in (True, False)
    }


@contextmanager
def branches_run(*functions: Callable[..., Any]) -> Iterator[set[Branch]]:
    """Collect the ways that the functions take from their conditions within a `with` block."""
    jumps = {code: _jumps(code) for code in _codes(functions)}
    reached: set[Branch] = set()

    def enter(frame: FrameType, event: str, argument: Any) -> _Trace | None:
        code = frame.f_code
        if code not in jumps:
            return None
        before = -1

        def local(frame: FrameType, event: str, argument: Any) -> _Trace:
            nonlocal before
            if event == "opcode":
                if before in jumps[code]:
                    target, line = jumps[code][before]
                    reached.add((code.co_qualname, line, before, frame.f_lasti == target))
                before = frame.f_lasti
            return local

        frame.f_trace_opcodes = True
        return local

    tracing = sys.gettrace()
    sys.settrace(enter)
    try:
        yield reached
    finally:
        sys.settrace(tracing)


def _jumps(code: CodeType) -> dict[int, tuple[int, int | None]]:
    """Where the conditional jumps of some code are, where they go, and their lines."""
    jumps = {}
    before = ""
    line = None
    for instruction in dis.get_instructions(code):
        name = instruction.opname
        if instruction.positions is not None:
            line = instruction.positions.lineno
        if "JUMP" in name and "_IF_" in name and before != "CHECK_EXC_MATCH":
            jumps[instruction.offset] = (instruction.argval, line)
        before = name
    return jumps


def _codes(functions: tuple[Callable[..., Any], ...]) -> set[CodeType]:
    codes: set[CodeType] = set()
    waiting = [function.__code__ for function in functions if isinstance(function, FunctionType)]
    assert len(waiting) == len(functions), "only plain functions can be traced"
    while waiting:
        code = waiting.pop()
        codes.add(code)
        waiting += [constant for constant in code.co_consts if isinstance(constant, CodeType)]
    return codes
