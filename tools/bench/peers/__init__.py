"""What is measured: each library in a module of its own, behind the interface of `base`."""

from collections.abc import Callable
from importlib import import_module
from typing import cast

from tools.bench.peers.base import Peer


def factory(library: str) -> Callable[[int], Peer]:
    """What makes peers of a library; imports it, and none of the others."""
    return cast("Callable[[int], Peer]", import_module(f"{__name__}.{library}_peer").make)
