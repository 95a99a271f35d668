"""Factories: the functions and classes that make sources, targets and formatters."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Literal

import msgspec

Kind = Literal["source", "target", "formatter"]


class Factory(msgspec.Struct, frozen=True, kw_only=True):
    """A function or class that makes sources, targets or formatters of one type.

    Attributes:
        kind: what it makes.
        name: the name of the type.
        make: the function or class.
        origin: the place where it comes from, in words.
        file: the file of a plugin; "" for others.
    """

    kind: Kind
    name: str
    make: Callable[..., Any]
    origin: str
    file: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.name} ({self.origin})"

    @property
    def call(self) -> str:
        """The call of the function or class, in words."""
        name = getattr(self.make, "__name__", self.name)
        return f"{name}() in {self.file}" if self.file else f"{name}()"

    @property
    def parameters(self) -> dict[str, inspect.Parameter]:
        """The parameters by name, without `*args` and `**kwargs`."""
        named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
        return {one.name: one for one in self._parameters if one.kind in named}

    @property
    def takes_any(self) -> bool:
        """True if it takes parameters of any name."""
        return any(one.kind is one.VAR_KEYWORD for one in self._parameters)

    @property
    def required(self) -> list[str]:
        """The names of the parameters without defaults."""
        return [name for name, one in self.parameters.items() if one.default is one.empty]

    @property
    def defaults(self) -> Mapping[str, object]:
        """The parameters that have another default in configurations than in programs."""
        found: Mapping[str, object] = getattr(self.make, "configured_defaults", {})
        return found

    @property
    def formatter(self) -> str | None:
        """The name of the formatter in configurations that name none."""
        return getattr(self.make, "configured_formatter", None)

    @property
    def _parameters(self) -> list[inspect.Parameter]:
        try:
            signature = inspect.signature(self.make, eval_str=True)
        except NameError:  # an annotation for type checkers only
            signature = inspect.signature(self.make)
        except (TypeError, ValueError):  # a builtin without a signature
            return []
        return list(signature.parameters.values())
