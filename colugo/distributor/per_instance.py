"""Attributes that need no constructor."""

from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class PerInstance(Generic[T]):
    """An attribute that each object makes when it uses it first, also on two threads at once.

    So nothing depends on the `__init__` of a base: the classes of attrs and data classes do not call it.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: object | None, owner: type) -> T:
        if instance is None:
            raise AttributeError(f"only objects of {owner.__name__} have {self._name}")
        made: T = vars(instance).setdefault(self._name, self._make())
        return made
