"""Collection of the mDNS records of all realms in one scope."""

from types import TracebackType
from typing import Self

from colugo.introspection.describe import as_known
from colugo.net.addresses.interfaces import Scope
from colugo.net.directory import DirectoryChange, DirectoryEvent
from colugo.net.mdns.mdns_directory import MdnsDirectory
from colugo.protocol.description.node_description import KnownSocket


class RecordListener:
    """An mDNS directory without a node, open within an `async with` block.

    Args:
        scope: the scope to listen in.
    """

    def __init__(self, scope: Scope) -> None:
        self._directory = MdnsDirectory(scope)
        self._found: dict[str, KnownSocket] = {}

    @property
    def sockets(self) -> dict[str, KnownSocket]:
        """The advertised sockets, by id."""
        return dict(self._found)

    @property
    def ignored(self) -> dict[str, str]:
        """Malformed records and those of another version: name and reason."""
        return dict(self._directory.status.ignored)

    async def __aenter__(self) -> Self:
        await self._directory.open(self._on_event)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._directory.close()

    def _on_event(self, event: DirectoryEvent) -> None:
        key = event.advertisement.socket_id.hex()
        if event.change is DirectoryChange.UP:
            self._found[key] = as_known(event.advertisement)
        else:
            self._found.pop(key, None)
