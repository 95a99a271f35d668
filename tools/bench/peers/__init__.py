"""The measured libraries, each in its own module, behind the interface in `base`."""

from collections.abc import Callable
from importlib import import_module
from typing import Any, cast

from tools.bench.peers.network import Network


def factory(library: str) -> Callable[[Network], Any]:
    """Return the class of a library's peers; import this library only.

    Returns:
        A class that implements the protocols of `base` for the library's capabilities (`libraries`).
    """
    module = import_module(f"{__name__}.{library.replace('-', '_')}_peer")
    return cast("Callable[[Network], Any]", module.Peer)
