"""The choice of a node's port."""

from dataclasses import dataclass

from colugo.errors import ConfigurationError

_MAX_PORT = 65535


def check_port(port: object, what: str = "a port") -> int:
    """Return a TCP port; raise `ConfigurationError` if it is not an integer from 1 to 65535."""
    if isinstance(port, bool) or not isinstance(port, int) or not 0 < port <= _MAX_PORT:
        raise ConfigurationError(f"{what} must be an integer from 1 to {_MAX_PORT}, not {port!r}")
    return port


@dataclass(frozen=True, slots=True)
class PortChoice:
    """The port requested for an endpoint; None for a free one.

    A `shared` port may be configured for several programs. If it is taken, a free one is used instead.
    """

    port: int | None = None
    shared: bool = False


ANY_PORT = PortChoice()
