"""What is measured: each library in a module of its own, behind the interface of `base`."""

from collections.abc import Callable
from importlib import import_module
from typing import Any, cast

from tools.bench.peers.network import Network


def factory(library: str) -> Callable[[Network], Any]:
    """What makes peers of a library; imports it, and none of the others.

    Returns:
        A maker of objects of those protocols of `base` that the library can be measured by (`libraries`).
    """
    module = import_module(f"{__name__}.{library.replace('-', '_')}_peer")
    return cast("Callable[[Network], Any]", module.Peer)
