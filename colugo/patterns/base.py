"""What several patterns check and count in the same way."""

import math
import sys
from collections.abc import Hashable, Iterable

from colugo.errors import ClosedError, ConfigurationError, LifecycleError, MessageTooLargeError
from colugo.net.runtime import Runtime
from colugo.protocol.throttle import Throttle

_LOG_PERIOD_S = 60.0


def check_size(payload: bytes, limit: int) -> None:
    """Refuse a payload over the limit.

    Raises:
        MessageTooLargeError: with both numbers.
    """
    if len(payload) > limit:
        raise MessageTooLargeError(
            f"the message has {len(payload)} bytes, max_message_bytes is {limit}: "
            "raise it on both sides (Node(max_message_bytes=…)), or send it in parts"
        )


def check_count(what: str, value: object) -> int:
    """Return the value if it is a whole number from 1 on.

    Raises:
        ConfigurationError: with name and value.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigurationError(f"{what} is a whole number from 1 on, not {value!r}")
    return value


def check_delay_ms(delay_ms: object, *, least: int, what: str = "a delay") -> int | float:
    """Return the delay if it is a number of milliseconds.

    Raises:
        ConfigurationError: with name and value.
    """
    if (
        isinstance(delay_ms, bool)
        or not isinstance(delay_ms, int | float)
        or not least <= delay_ms < math.inf
    ):
        raise ConfigurationError(f"{what} is a number of milliseconds from {least} on, not {delay_ms!r}")
    return delay_ms


def check_timeout_ms(timeout_ms: object) -> None:
    """Refuse what is no timeout; infinity is one, an int beyond all floats is not.

    Raises:
        ConfigurationError: with the value.
    """
    if (
        isinstance(timeout_ms, bool)
        or not isinstance(timeout_ms, int | float)
        or not timeout_ms > 0
        or (isinstance(timeout_ms, int) and timeout_ms > sys.float_info.max)
    ):
        raise ConfigurationError(f"a timeout is a number of milliseconds above 0, not {timeout_ms!r}")


def as_endpoints(connect: Iterable[str]) -> list[str]:
    """The endpoints of a `connect=` argument.

    Raises:
        ConfigurationError: if it is one str instead of several.
    """
    if isinstance(connect, str):
        raise ConfigurationError(f"connect= takes a list of endpoints, not the str {connect!r}")
    return list(connect)


class Part:
    """The base of what is on a node: closed with it, or before by itself.

    Args:
        runtime: the node's.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether it has been closed."""
        return self._closed

    def close(self) -> None:
        """Close; a second time is a no-op. May be called from any thread."""
        if not self._closed:
            self._runtime.submit(self.close_now)

    def describe(self) -> object:
        """Return a `PartDescription` for the node's description; None if this is not a socket."""
        return None

    def quiesce(self) -> None:
        """Begin nothing new, while the node says goodbye and answers what is under way."""

    async def finish(self) -> None:
        """Wait, while the node stops, for what has to be done before `close_now`; not for long."""

    def close_now(self) -> None:
        """Close, on the node's thread; a second time is a no-op."""
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
        """Release what it holds; called once, on the node's thread."""
        raise NotImplementedError


class ThrottledWarnings:
    """Warnings about what others send: once a minute for each subject, with how many were held back."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._throttle = Throttle(_LOG_PERIOD_S)

    def warn(self, subject: Hashable, text: str, error: Exception) -> None:
        """Log it, or count it if the subject was logged within the last minute."""
        held = self._throttle.admit(subject, self._runtime.loop.time())
        if held is not None:
            more = f" ({held} more like it in the last minute)" if held else ""
            self._runtime.logger.warning("%s: %s%s", text, error, more)
