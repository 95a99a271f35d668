"""The directory: where sockets are advertised and found."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from colugo.protocol.advertisement import Advertisement


class Change(Enum):
    """What happened to an advertisement."""

    UP = "up"
    DOWN = "down"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class DirectoryEvent:
    """A change of the directory.

    Attributes:
        change: UP for a new or changed advertisement, DOWN for one that is withdrawn or stale, LOST for one
            whose host does not answer: it may only be cut off, and come back.
        advertisement: which.
    """

    change: Change
    advertisement: Advertisement


Listener = Callable[[DirectoryEvent], None]


class Directory(Protocol):
    """Where a node advertises its sockets and learns of others; all calls on the node's loop.

    Implementations: `colugo.net.mdns.MdnsDirectory` and, for tests, `colugo.net.memory.MemoryDirectory`.
    """

    @property
    def ignored(self) -> Mapping[str, str]:
        """Records that are malformed or of another version: name and reason."""

    async def open(self, listener: Listener) -> None:
        """Begin; what is known already and all that changes from now on goes to the listener."""

    def advertise(self, advertisement: Advertisement) -> None:
        """Tell everyone, oneself included."""

    def withdraw(self, advertisement: Advertisement) -> None:
        """Tell everyone that it is gone."""

    def suspect(self, advertisement: Advertisement) -> None:
        """Its socket does not answer: ask whether it is still there; say DOWN or LOST if nobody answers."""

    def vouch(self, advertisement: Advertisement) -> None:
        """A socket that was LOST answers again: say UP, and ask whether it is still as it was."""

    async def close(self) -> None:
        """Withdraw what is left and stop."""
