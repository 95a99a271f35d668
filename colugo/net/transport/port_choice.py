"""Which port a node's own endpoint has."""

import os
from dataclasses import dataclass

from colugo.errors import ConfigurationError

_MAX_PORT = 65535


def check_port(port: int) -> int:
    """Return a port.

    Raises:
        ConfigurationError: if it is none that TCP has.
    """
    if isinstance(port, bool) or not isinstance(port, int) or not 0 < port <= _MAX_PORT:
        raise ConfigurationError(f"a port is a number from 1 to {_MAX_PORT}, not {port!r}")
    return port


@dataclass(frozen=True, slots=True)
class PortChoice:
    """Which port an endpoint is to have.

    Attributes:
        port: the port; None for a free one.
        shared: whether several programs were told the same one: who finds it taken chooses a free one.
    """

    port: int | None = None
    shared: bool = False


ANY_PORT = PortChoice()


def resolve_port(port: int | None) -> PortChoice:
    """The port of a node's endpoint.

    Args:
        port: from 1 to 65535; None means the environment variable `COLUGO_PORT`, or a free one without it.

    Raises:
        ConfigurationError: if that is no port.
    """
    text = os.environ.get("COLUGO_PORT", "").strip()
    if port is None and text:
        if text.isascii() and text.isdigit() and 0 < int(text) <= _MAX_PORT:
            return PortChoice(int(text), shared=True)
        raise ConfigurationError(f"COLUGO_PORT is a number from 1 to {_MAX_PORT}, not {text!r}")
    if port is not None and (
        isinstance(port, bool) or not isinstance(port, int) or not 0 < port <= _MAX_PORT
    ):
        raise ConfigurationError(f"port= is a number from 1 to {_MAX_PORT}, not {port!r}")
    return PortChoice(port)
