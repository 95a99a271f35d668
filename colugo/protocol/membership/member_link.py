"""The known state of a node, and the part of it that the other side of a link has already."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

from colugo.protocol.advertisement import Advertisement
from colugo.protocol.membership.entries import (
    MAX_AGE_MS,
    MAX_ENTRIES,
    MAX_SOCKET_BYTES,
    NodeEntries,
    NodeEntry,
    SocketRecord,
)


def version_of(beat: int, *, gone: bool) -> int:
    """Return the rank of an entry: a higher beat is newer, and with equal beats the one marked gone."""
    return 2 * beat + gone


class MemberState(Enum):
    """The state of a node in the membership table."""

    ALIVE = "alive"
    GONE = "gone"
    EXPIRED = "expired"


@dataclass(slots=True)
class KnownNode:
    """A row of the membership table.

    Attributes:
        beat: its highest known heartbeat.
        revision: the beat at which its sockets last changed.
        beat_at: the time of that heartbeat, seconds.
        sockets: its sockets, in their form on the wire.
        advertisements: the same sockets, by socket id.
        size: the bytes that the sockets take in a message.
    """

    beat: int
    revision: int
    beat_at: float
    state: MemberState
    sockets: list[SocketRecord]
    advertisements: dict[bytes, Advertisement]
    size: int = 0

    @property
    def version(self) -> int:
        """The rank of its entry, as `version_of` returns it."""
        return 2 * self.beat + (self.state is MemberState.GONE)


class MemberLink:
    """The knowledge of the other side of a link, so that it gets nothing twice, nor its own entries."""

    def __init__(self, nodes: Iterable[str]) -> None:
        self.pending: dict[str, None] = dict.fromkeys(nodes)
        """The nodes whose state may be new to the other side."""
        self._versions: dict[str, int] = {}
        self._revisions: dict[str, int] = {}
        self._wanted: dict[str, None] = {}

    def offer(self, node: str, version: int) -> None:
        """Queue a node's state, unless the other side has that version."""
        if self._versions.get(node, 0) < version:
            self.pending[node] = None

    def note_received(self, entry: NodeEntry, version: int) -> None:
        """Note that the other side has an entry, since it sent it."""
        if self._versions.get(entry.node, 0) < version:
            self._versions[entry.node] = version
        if entry.sockets is not None:
            self._revisions[entry.node] = entry.revision

    def want(self, node: str) -> None:
        """Request a node's sockets with the next message."""
        if len(self._wanted) < MAX_ENTRIES:
            self._wanted[node] = None

    def forget(self, node: str) -> None:
        """Forget a node."""
        self._versions.pop(node, None)
        self._revisions.pop(node, None)
        self.pending.pop(node, None)

    def outgoing(self, members: Mapping[str, KnownNode], now: float) -> NodeEntries | None:
        """Return the next message, or None if there is nothing to send."""
        message = NodeEntries(list(self._entries(members, now)), list(self._wanted))
        self._wanted.clear()
        return message if message.entries or message.wanted else None

    def _entries(self, members: Mapping[str, KnownNode], now: float) -> Iterator[NodeEntry]:
        room = MAX_SOCKET_BYTES
        for count, node in enumerate(list(self.pending)):
            member = members.get(node)
            version = 0 if member is None or member.state is MemberState.EXPIRED else member.version
            if member is None or self._versions.get(node, 0) >= version:
                del self.pending[node]
                continue
            new = member.state is MemberState.ALIVE and self._revisions.get(node) != member.revision
            if count >= MAX_ENTRIES or (new and room < member.size and room < MAX_SOCKET_BYTES):
                return  # a node with more sockets arrived in one message, and fits into one
            del self.pending[node]
            self._versions[node] = version
            if new:
                room -= member.size
                self._revisions[node] = member.revision
            yield NodeEntry(
                node,
                member.beat,
                member.revision,
                min(max(0, round((now - member.beat_at) * 1000)), MAX_AGE_MS),
                gone=member.state is MemberState.GONE,
                sockets=member.sockets if new else None,
            )
