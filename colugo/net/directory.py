"""The directory, in which sockets are advertised and discovered."""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from colugo.protocol.advertisement import Advertisement


class DirectoryChange(Enum):
    """A kind of change of an advertisement."""

    UP = "up"
    DOWN = "down"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class DirectoryEvent:
    """A change of the directory.

    Attributes:
        change: UP for a new or changed advertisement, DOWN for one that is withdrawn or stale, LOST for one
            whose host does not answer: it may be cut off for a while, and come back.
        advertisement: the advertisement.
    """

    change: DirectoryChange
    advertisement: Advertisement


@dataclass(frozen=True, slots=True)
class DirectoryStatus:
    """The state of a directory, for tools.

    Attributes:
        mdns: True if it uses mDNS.
        peers: the state of the link to each peer that was given by address, by that address.
        ignored: records that are malformed or of another version, by name, with the reason.
    """

    mdns: bool = False
    peers: Mapping[str, str] = field(default_factory=dict)
    ignored: Mapping[str, str] = field(default_factory=dict)


Listener = Callable[[DirectoryEvent], None]


class Directory(Protocol):
    """A place where a node advertises its sockets and discovers others; all calls are on the node's loop.

    Implementations: `MdnsDirectory`, `StaticDirectory`, `CombinedDirectory` and `MemoryDirectory`.
    """

    @property
    def status(self) -> DirectoryStatus:
        """The state of the directory itself."""

    async def open(self, listener: Listener) -> None:
        """Start; call the listener with each known advertisement, and each change from now on."""

    def advertise(self, advertisement: Advertisement) -> None:
        """Advertise a socket to all nodes, including this one."""

    def withdraw(self, advertisement: Advertisement) -> None:
        """Withdraw an advertisement, from this node, too."""

    def suspect(self, advertisement: Advertisement) -> None:
        """Verify an advertisement whose socket does not answer; report DOWN or LOST if its host is silent."""

    def vouch(self, advertisement: Advertisement) -> None:
        """Report UP for a LOST advertisement whose socket answers again, and verify that it is unchanged."""

    async def close(self) -> None:
        """Withdraw all advertisements, and stop."""


class InOrder:
    """Calls a function without reentrance: a call that is made within another one waits for its end.

    So all listeners get all events in the same order, even if a listener causes the next event.
    """

    def __init__(self, function: Callable[..., None]) -> None:
        self._function = function
        self._waiting: deque[tuple[object, ...]] = deque()
        self._calling = False

    def __call__(self, *args: object) -> None:
        """Call the function now, or after the call in progress."""
        self._waiting.append(args)
        if self._calling:
            return
        self._calling = True
        try:
            while self._waiting:
                self._function(*self._waiting.popleft())
        finally:
            self._calling = False
