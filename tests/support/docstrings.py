"""A checker of public docstrings: Google style, with every parameter."""

import dataclasses
import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any

MADE_BY = "made by `"
"""Stands in the docstring of a class whose constructor is not for users."""

_ENTRY = re.compile(r"(\s+)\*{0,2}(\w+)(?: \(.*\))?: \S")


def entries(docstring: str, section: str) -> list[str]:
    """The names that a section such as `Args` describes."""
    names: list[str] = []
    indent: str | None = None
    inside = False
    for line in inspect.cleandoc(docstring).splitlines():
        if line and not line.startswith(" "):
            inside = line == f"{section}:"
            indent = None
        found = _ENTRY.match(line) if inside else None
        if found and (indent is None or found[1] == indent):
            indent = found[1]
            names.append(found[2])
    return names


def findings(name: str, thing: Any) -> Iterator[str]:
    """List what is missing in the docstrings of a public class or function."""
    if inspect.isclass(thing):
        yield from _of_class(name, thing)
    elif callable(thing):
        yield from _of_function(name, thing)


def public_members(kind: type) -> Iterator[tuple[str, Any]]:
    """Methods and properties that users see, inherited ones included, as long as they are ours."""
    for base in reversed(kind.__mro__):
        if not base.__module__.startswith(("colugo", "tests")):
            continue
        for name, member in vars(base).items():
            if not name.startswith("_") or (name == "__call__" and not issubclass(kind, type)):
                found = inspect.getattr_static(kind, name)
                if found is member:
                    yield name, member


def plain_function(member: Any) -> Callable[..., Any] | None:
    """The function behind a method, a class method or a static method."""
    if isinstance(member, classmethod | staticmethod):
        member = member.__func__
    return member if inspect.isfunction(member) else None


def _of_class(name: str, kind: type) -> Iterator[str]:
    text = vars(kind).get("__doc__") or ""
    if not text or text.startswith(f"{kind.__name__}("):
        yield f"{name} has no docstring"
    told = [*entries(text, "Args"), *entries(text, "Attributes")]
    constructor = vars(kind).get("__init__")
    if constructor is not None and MADE_BY not in text:
        for parameter in _parameters(constructor):
            if parameter not in told:
                yield f"{name}: the argument {parameter} is not described"
    if dataclasses.is_dataclass(kind):
        fields = {field.name for field in dataclasses.fields(kind)}
        yield from (f"{name}: describes {wrong}, which is no field" for wrong in sorted(set(told) - fields))
    for member_name, member in public_members(kind):
        if isinstance(member, property):
            if not member.__doc__:
                yield f"{name}.{member_name} has no docstring"
        elif plain_function(member) is not None:
            yield from _of_function(f"{name}.{member_name}", getattr(kind, member_name))


def _of_function(name: str, function: Callable[..., Any]) -> Iterator[str]:
    text = inspect.getdoc(function) or ""
    if not text:
        yield f"{name} has no docstring"
        return
    if not text.splitlines()[0].rstrip().endswith((".", ":")):
        yield f"{name}: the first line is no sentence"
    told = entries(text, "Args")
    wanted = _parameters(function)
    yield from (
        f"{name}: the argument {missing} is not described" for missing in wanted if missing not in told
    )
    yield from (f"{name}: describes {wrong}, which is no argument" for wrong in told if wrong not in wanted)


def _parameters(function: Callable[..., Any]) -> list[str]:
    return [name for name in inspect.signature(function).parameters if name not in ("self", "cls")]
