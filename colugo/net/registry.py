"""The advertisements that a node knows in its realm, and the watches of its sockets."""

from collections import defaultdict
from collections.abc import Callable

from colugo.net.directory import DirectoryChange, DirectoryEvent, InOrder
from colugo.protocol.advertisement import Advertisement, SocketKind
from colugo.protocol.topics import TopicPattern, is_pattern

OnChange = Callable[[DirectoryChange, Advertisement], None]


class Watch:
    """A standing query for sockets of a kind and topic."""

    def __init__(self, kind: SocketKind, topic: str, on_change: OnChange) -> None:
        self.kind = kind
        self.topic = topic
        self.pattern = TopicPattern(topic) if is_pattern(topic) else None
        self.on_change = on_change

    def matches(self, advertisement: Advertisement) -> bool:
        """Return True if the query matches the advertisement."""
        if self.kind is not advertisement.kind:
            return False
        if self.pattern is None:
            return self.topic == advertisement.topic
        return self.pattern.matches(advertisement.topic)


class Registry:
    """The advertisements of one realm, by socket id, and the watches on them. Others are only counted."""

    def __init__(self, realm: str) -> None:
        self._realm = realm
        self._known: dict[bytes, Advertisement] = {}
        self._exact: defaultdict[tuple[SocketKind, str], list[Watch]] = defaultdict(list)
        self._wild: list[Watch] = []
        self._foreign: set[bytes] = set()
        self._notify = InOrder(self._notify_watches)

    @property
    def foreign(self) -> int:
        """The number of sockets of other realms that have been discovered."""
        return len(self._foreign)

    @property
    def known(self) -> list[Advertisement]:
        """All advertisements of the realm, except those of the nodes' own endpoints."""
        return [one for one in self._known.values() if one.kind is not SocketKind.NODE]

    @property
    def nodes(self) -> list[Advertisement]:
        """The advertisements of the endpoints of the realm's nodes."""
        return [one for one in self._known.values() if one.kind is SocketKind.NODE]

    def watch(self, watch: Watch) -> None:
        """Add a watch, and call it at once with the advertisements that match."""
        (self._wild if watch.pattern else self._exact[watch.kind, watch.topic]).append(watch)
        for advertisement in self.known:
            if watch.matches(advertisement):
                watch.on_change(DirectoryChange.UP, advertisement)

    def unwatch(self, watch: Watch) -> None:
        """Remove a watch; a second time is a no-op."""
        watches = self._wild if watch.pattern else self._exact[watch.kind, watch.topic]
        if watch in watches:
            watches.remove(watch)
        if not watches and watch.pattern is None:
            del self._exact[watch.kind, watch.topic]

    def on_event(self, event: DirectoryEvent) -> None:
        """Apply an event of the directory. A lost advertisement is removed, but a watch may wait for it."""
        advertisement = event.advertisement
        key = advertisement.socket_id
        if advertisement.realm != self._realm:
            if event.change is DirectoryChange.UP:
                self._foreign.add(key)
            else:
                self._foreign.discard(key)
            return
        if event.change is DirectoryChange.UP:
            if self._known.get(key) == advertisement:
                return
            self._known[key] = advertisement
        elif self._known.pop(key, None) is None:
            return
        self._notify(event.change, advertisement)

    def repeat(self, advertisement: Advertisement) -> None:
        """Notify the watches again, unless it has been removed, or another socket has its port now."""
        if self._known.get(advertisement.socket_id) == advertisement and not any(
            other.port == advertisement.port and other.host_id == advertisement.host_id
            for other in self._known.values()
            if other is not self._known[advertisement.socket_id]
        ):
            self._notify(DirectoryChange.UP, advertisement)

    def _notify_watches(self, change: DirectoryChange, advertisement: Advertisement) -> None:
        watches = self._exact.get((advertisement.kind, advertisement.topic), [])
        for watch in [*watches, *(one for one in self._wild if one.matches(advertisement))]:
            watch.on_change(change, advertisement)
