"""A directory in memory, for tests that run nodes in one process without mDNS."""

import threading

from tornado.ioloop import IOLoop

from colugo.net.directory import DirectoryChange, DirectoryEvent, DirectoryStatus, Listener
from colugo.protocol.advertisement import Advertisement


class MemoryNetwork:
    """The shared state of the directories of one network; nodes may run on different threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._advertisements: dict[bytes, Advertisement] = {}
        self._listeners: list[Listener] = []

    def join(self, listener: Listener) -> None:
        """Add a listener, and notify it of all known sockets."""
        with self._lock:
            self._listeners.append(listener)
            known = list(self._advertisements.values())
            for advertisement in known:
                listener(DirectoryEvent(DirectoryChange.UP, advertisement))

    def leave(self, listener: Listener) -> None:
        """Remove a listener."""
        with self._lock:
            self._listeners.remove(listener)

    def change(self, event: DirectoryEvent) -> None:
        """Apply a change, and notify all listeners."""
        key = event.advertisement.socket_id
        with self._lock:
            if event.change is DirectoryChange.UP:
                self._advertisements[key] = event.advertisement
            elif self._advertisements.pop(key, None) is None:
                return
            for listener in self._listeners:
                listener(event)


class MemoryDirectory:
    """One node's view of a `MemoryNetwork`, which the nodes that should find each other share."""

    def __init__(self, network: MemoryNetwork) -> None:
        self._network = network
        self._own: dict[bytes, Advertisement] = {}
        self._loop: IOLoop | None = None
        self._listener: Listener | None = None

    @property
    def status(self) -> DirectoryStatus:
        """The status of the directory, which is empty."""
        return DirectoryStatus()

    async def open(self, listener: Listener) -> None:
        """Join the network."""
        self._loop = IOLoop.current()
        self._listener = listener
        self._network.join(self._notify)

    def advertise(self, advertisement: Advertisement) -> None:
        """Advertise a socket to the network."""
        self._own[advertisement.socket_id] = advertisement
        self._network.change(DirectoryEvent(DirectoryChange.UP, advertisement))

    def withdraw(self, advertisement: Advertisement) -> None:
        """Withdraw a socket from the network."""
        self._own.pop(advertisement.socket_id, None)
        self._network.change(DirectoryEvent(DirectoryChange.DOWN, advertisement))

    def suspect(self, advertisement: Advertisement) -> None:
        """Do nothing: sockets leave this network only by withdrawal."""

    def vouch(self, advertisement: Advertisement) -> None:
        """Do nothing: this network loses no sockets."""

    async def close(self) -> None:
        """Withdraw all sockets, and leave the network."""
        if self._listener is not None:
            self._network.leave(self._notify)
            self._listener = None
        for advertisement in list(self._own.values()):
            self.withdraw(advertisement)

    def _notify(self, event: DirectoryEvent) -> None:
        if self._loop is not None:
            self._loop.add_callback(self._deliver, event)

    def _deliver(self, event: DirectoryEvent) -> None:
        if self._listener is not None:
            self._listener(event)
