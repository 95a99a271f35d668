"""TCP and UDP ports."""

from colugo.errors import ConfigurationError

HIGHEST_PORT = 65_535


def check_port(port: int, least: int = 0) -> int:
    """Return a port, or raise a ConfigurationError."""
    if isinstance(port, bool) or not isinstance(port, int) or not least <= port <= HIGHEST_PORT:
        raise ConfigurationError(f"port must be an integer from {least} to {HIGHEST_PORT}, not {port!r}")
    return port
