"""The interfaces of sources and targets."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any, ClassVar

OnMessage = Callable[[Any], Awaitable[None]]
"""The function that a source calls with each message, from any thread. On the loop, await what it returns:
that waits while the distributor has no room."""


class Queued(Awaitable[None]):
    """The result of a call that has queued a message at once: awaiting it does not wait.

    It may be thrown away without a warning, which a coroutine may not.
    """

    __slots__ = ()

    def __await__(self) -> Generator[Any, None, None]:
        """Return at once."""
        return
        yield


QUEUED = Queued()
"""The one object of its class: a message costs none of its own."""


class Room(Awaitable[None]):
    """The result of a call that has filled a queue: awaiting it waits for room.

    It may be thrown away without a warning, which a coroutine may not.
    """

    __slots__ = ("_wait",)

    def __init__(self, wait: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._wait = wait

    def __await__(self) -> Generator[Any, None, None]:
        """Wait for room."""
        return self._wait().__await__()


class AbstractDistributorEndpoint(ABC):
    """The base of sources and targets."""

    @abstractmethod
    def open(self) -> None:
        """Start: connect, listen, or open files."""

    @abstractmethod
    def close(self, code: int = -1, reason: str = "") -> None:
        """Stop, and release everything.

        Args:
            code: the cause, such as `AbstractDistributionSource.DISCONNECT_SHUTDOWN`.
            reason: the cause in words.
        """


class AbstractDistributionSource(AbstractDistributorEndpoint):
    """A source of messages."""

    DISCONNECT_SHUTDOWN: ClassVar = 0
    DISCONNECT_LOST: ClassVar = 1
    DISCONNECT_RECONNECT: ClassVar = 2

    @abstractmethod
    def set_on_message(self, message_function: OnMessage) -> None:
        """Set the function to call with each message.

        Args:
            message_function: takes the message. You may call it from any thread. It returns an awaitable; on
                the loop, await it, so that a target with `full="wait"` holds up the source.
        """


class AbstractDistributionTarget(AbstractDistributorEndpoint):
    """A target of messages.

    Derive from `ThreadedDistributionTarget` instead if sending a message may block.
    """

    @abstractmethod
    def on_message(self, message: Any) -> Awaitable[Any] | None:
        """Take a message, on the loop; a coroutine function is awaited before the next message.

        Args:
            message: the message as the source gave it.
        """

    @abstractmethod
    def process(self, message: Any) -> Any:
        """Send the message.

        Args:
            message: the message, formatted.
        """
