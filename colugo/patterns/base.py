"""The base of a node's parts, and checks that several patterns share."""

import math
import sys
from collections.abc import Hashable, Iterable
from typing import Any, get_args

from colugo.errors import ClosedError, ConfigurationError, LifecycleError, MessageTooLargeError
from colugo.net.runtime import Runtime
from colugo.protocol.throttle import Throttle


def check_size(payload: bytes, limit: int) -> None:
    """Raise `MessageTooLargeError` if a payload is over the limit in bytes."""
    if len(payload) > limit:
        raise MessageTooLargeError(
            f"the message has {len(payload)} bytes, max_message_bytes is {limit}: "
            "raise it on both sides (Node(max_message_bytes=…)), or send it in parts"
        )


def check_count(what: str, value: object) -> int:
    """Return the value if it is an integer ≥ 1, else raise `ConfigurationError`."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigurationError(f"{what} must be an integer ≥ 1, not {value!r}")
    return value


def check_choice(what: str, value: object, choices: Any) -> None:
    """Check that a value is one of those of a `Literal` type.

    Raises:
        ConfigurationError: with the name, the value and the choices.
    """
    if value not in get_args(choices):
        known = " or ".join(map(repr, get_args(choices)))
        raise ConfigurationError(f"{what} must be {known}, not {value!r}")


def check_delay_ms(delay_ms: object, *, least: int, what: str = "a delay") -> int | float:
    """Return the delay if it is a finite number of milliseconds, else raise `ConfigurationError`."""
    if (
        isinstance(delay_ms, bool)
        or not isinstance(delay_ms, int | float)
        or not least <= delay_ms < math.inf
    ):
        raise ConfigurationError(f"{what} must be a number of milliseconds ≥ {least}, not {delay_ms!r}")
    return delay_ms


def check_timeout_ms(timeout_ms: object) -> None:
    """Raise `ConfigurationError` unless a timeout is > 0. Infinity is valid, an int beyond floats is not."""
    if (
        isinstance(timeout_ms, bool)
        or not isinstance(timeout_ms, int | float)
        or not timeout_ms > 0
        or (isinstance(timeout_ms, int) and timeout_ms > sys.float_info.max)
    ):
        raise ConfigurationError(f"a timeout must be a number of milliseconds > 0, not {timeout_ms!r}")


def as_endpoints(connect: Iterable[str]) -> list[str]:
    """Return the endpoints of a `connect=` argument as a list; raise `ConfigurationError` if it is a str."""
    if isinstance(connect, str):
        raise ConfigurationError(f"connect= takes a list of endpoints, not the str {connect!r}")
    return list(connect)


class Part:
    """The base of a node's parts, such as publishers and timers: closed with the node, or earlier."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._closed = False

    @property
    def closed(self) -> bool:
        """True after `close()`, or after the node has stopped."""
        return self._closed

    def close(self) -> None:
        """Close; a no-op if already closed. May be called from any thread."""
        if not self._closed:
            self._runtime.submit(self.close_now)

    def describe(self) -> object:
        """Return a `PartDescription` for the node's description; None if this is not a socket."""
        return None

    def quiesce(self) -> None:
        """Start nothing new, while the node withdraws its sockets and finishes what is in progress."""

    async def finish(self) -> None:
        """Wait briefly, while the node stops, for work that must be done before `close_now`."""

    def close_now(self) -> None:
        """Close, on the node's thread; a no-op if already closed."""
        if not self._closed:
            self._closed = True
            self._runtime.parts.pop(self, None)
            self._shut()

    def _check_thread(self) -> None:
        if self._runtime.running and not self._runtime.on_own_thread():
            raise LifecycleError(
                f"await this on the loop of the node {self._runtime.name!r}; from elsewhere: node.run(…)"
            )

    def _check_open(self) -> None:
        if self._closed:
            why = (
                f"the node {self._runtime.name!r} has been stopped" if self._runtime.closed else "by close()"
            )
            raise ClosedError(f"this {type(self).__name__} is closed: {why}")

    def _shut(self) -> None:
        """Release all resources; called once, on the node's thread."""
        raise NotImplementedError


class ThrottledWarnings:
    """Warnings about messages of peers: at most one a minute for each subject.

    Each warning gives the number of those that were suppressed before it.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._throttle = Throttle()

    def warn(self, subject: Hashable, text: str, error: Exception) -> None:
        """Log a warning, or count it if one about the subject was logged within the last minute."""
        more = self._throttle.note(subject, self._runtime.loop.time())
        if more is not None:
            self._runtime.logger.warning("%s: %s%s", text, error, more)
