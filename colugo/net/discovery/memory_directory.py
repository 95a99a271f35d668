"""A directory in memory, for tests: a network of nodes of one process, without a network."""

import threading
from collections.abc import Callable

from tornado.ioloop import IOLoop

from colugo.net.directory import DirectoryChange, DirectoryEvent, DirectoryStatus, Listener
from colugo.protocol.advertisement import Advertisement


class MemoryNetwork:
    """What the directories of one network share; nodes may run on different threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._advertisements: dict[bytes, Advertisement] = {}
        self._tell: list[Callable[[DirectoryEvent], None]] = []

    def join(self, tell: Callable[[DirectoryEvent], None]) -> None:
        """Add a listener, which is told what is there."""
        with self._lock:
            self._tell.append(tell)
            there = list(self._advertisements.values())
            for advertisement in there:
                tell(DirectoryEvent(DirectoryChange.UP, advertisement))

    def leave(self, tell: Callable[[DirectoryEvent], None]) -> None:
        """Remove a listener."""
        with self._lock:
            self._tell.remove(tell)

    def change(self, event: DirectoryEvent) -> None:
        """Apply a change and tell everyone."""
        key = event.advertisement.socket_id
        with self._lock:
            if event.change is DirectoryChange.UP:
                self._advertisements[key] = event.advertisement
            elif self._advertisements.pop(key, None) is None:
                return
            for tell in self._tell:
                tell(event)


class MemoryDirectory:
    """One node's view of a `MemoryNetwork`.

    Args:
        network: shared by the nodes that shall find each other.
    """

    def __init__(self, network: MemoryNetwork) -> None:
        self._network = network
        self._own: dict[bytes, Advertisement] = {}
        self._loop: IOLoop | None = None
        self._listener: Listener | None = None

    @property
    def status(self) -> DirectoryStatus:
        """What there is to say of it."""
        return DirectoryStatus()

    async def open(self, listener: Listener) -> None:
        """Join the network."""
        self._loop = IOLoop.current()
        self._listener = listener
        self._network.join(self._tell)

    def advertise(self, advertisement: Advertisement) -> None:
        """Tell everyone."""
        self._own[advertisement.socket_id] = advertisement
        self._network.change(DirectoryEvent(DirectoryChange.UP, advertisement))

    def withdraw(self, advertisement: Advertisement) -> None:
        """Tell everyone that it is gone."""
        self._own.pop(advertisement.socket_id, None)
        self._network.change(DirectoryEvent(DirectoryChange.DOWN, advertisement))

    def suspect(self, advertisement: Advertisement) -> None:
        """Nothing to ask: whoever is gone from memory has withdrawn."""

    def vouch(self, advertisement: Advertisement) -> None:
        """Nothing to do: nobody is lost from memory."""

    async def close(self) -> None:
        """Leave the network."""
        if self._listener is not None:
            self._network.leave(self._tell)
            self._listener = None
        for advertisement in list(self._own.values()):
            self.withdraw(advertisement)

    def _tell(self, event: DirectoryEvent) -> None:
        if self._loop is not None:
            self._loop.add_callback(self._deliver, event)

    def _deliver(self, event: DirectoryEvent) -> None:
        if self._listener is not None:
            self._listener(event)
