"""The directory: where sockets are advertised and found."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from colugo.protocol.advertisement import Advertisement


class DirectoryChange(Enum):
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

    change: DirectoryChange
    advertisement: Advertisement


@dataclass(frozen=True, slots=True)
class DirectoryStatus:
    """What a directory says of itself, for tools.

    Attributes:
        mdns: whether it uses mDNS.
        peers: the state of the links to peers that were given by their address, by that address.
        ignored: records that are malformed or of another version: name and reason.
    """

    mdns: bool = False
    peers: Mapping[str, str] = field(default_factory=dict)
    ignored: Mapping[str, str] = field(default_factory=dict)


Listener = Callable[[DirectoryEvent], None]


class Directory(Protocol):
    """Where a node advertises its sockets and learns of others; all calls on the node's loop.

    Implementations: `MdnsDirectory`, `StaticDirectory`, `CombinedDirectory` and `MemoryDirectory`.
    """

    @property
    def status(self) -> DirectoryStatus:
        """What there is to say of the directory itself."""

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
