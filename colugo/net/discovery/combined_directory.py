"""Several directories as one."""

import asyncio
from collections.abc import Callable
from functools import partial

from colugo.net.directory import Directory, DirectoryChange, DirectoryEvent, DirectoryStatus, Listener
from colugo.protocol.advertisement import Advertisement

_MAX_LOST = 4096


class CombinedDirectory:
    """The union of several directories; if several know a socket, the first one's advertisement counts.

    The observer gets each event of the first directory.
    """

    def __init__(
        self, directories: list[Directory], observer: Callable[[DirectoryEvent], None] = lambda _: None
    ) -> None:
        self._directories = directories
        self._observer = observer
        self._listener: Listener | None = None
        self._known: dict[bytes, dict[int, Advertisement]] = {}
        self._lost_by: dict[tuple[bytes, int], None] = {}

    @property
    def status(self) -> DirectoryStatus:
        """The combined status of all directories."""
        each = [directory.status for directory in self._directories]
        return DirectoryStatus(
            mdns=any(one.mdns for one in each),
            peers=dict(item for one in each for item in one.peers.items()),
            ignored=dict(item for one in each for item in one.ignored.items()),
        )

    async def open(self, listener: Listener) -> None:
        """Open all directories."""
        self._listener = listener
        for number, directory in enumerate(self._directories):
            await directory.open(partial(self._on_event, number))

    def advertise(self, advertisement: Advertisement) -> None:
        """Advertise a socket in all directories."""
        for directory in self._directories:
            directory.advertise(advertisement)

    def withdraw(self, advertisement: Advertisement) -> None:
        """Withdraw a socket from all directories."""
        for directory in self._directories:
            directory.withdraw(advertisement)

    def suspect(self, advertisement: Advertisement) -> None:
        """Have all directories verify a socket; it is down when none of them knows it any more."""
        for directory in self._directories:
            directory.suspect(advertisement)

    def vouch(self, advertisement: Advertisement) -> None:
        """Restore a socket in the directories that had lost it."""
        for number, directory in enumerate(self._directories):
            if (advertisement.socket_id, number) in self._lost_by:
                directory.vouch(advertisement)

    async def close(self) -> None:
        """Close all directories."""
        await asyncio.gather(*(directory.close() for directory in self._directories))

    def _on_event(self, number: int, event: DirectoryEvent) -> None:
        if number == 0:
            self._observer(event)
        key = event.advertisement.socket_id
        self._lost_by.pop((key, number), None)
        if event.change is DirectoryChange.LOST:
            self._lost_by[key, number] = None
            if len(self._lost_by) > _MAX_LOST:
                del self._lost_by[next(iter(self._lost_by))]
        by_source = self._known.setdefault(key, {})
        before = _first(by_source)
        if event.change is DirectoryChange.UP:
            by_source[number] = event.advertisement
        else:
            by_source.pop(number, None)
        now = _first(by_source)
        if now is None:
            del self._known[key]
            self._notify(DirectoryEvent(event.change, event.advertisement))
        elif now != before or event.change is DirectoryChange.UP:
            self._notify(DirectoryEvent(DirectoryChange.UP, now))

    def _notify(self, event: DirectoryEvent) -> None:
        if self._listener is not None:
            self._listener(event)


def _first(by_source: dict[int, Advertisement]) -> Advertisement | None:
    return by_source[min(by_source)] if by_source else None
