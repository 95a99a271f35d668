"""What is known of a node, and what the other side of a link knows of it already."""

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
    """Which of two entries is newer: the one of the higher beat, and of equal ones that which says gone."""
    return 2 * beat + gone


class MemberState(Enum):
    """What is known of a node."""

    ALIVE = "alive"
    GONE = "gone"
    EXPIRED = "expired"


@dataclass(slots=True)
class KnownNode:
    """What is known of a node.

    Attributes:
        beat: the highest one that was heard.
        revision: the beat at which its sockets last changed.
        heard_at: when that beat began.
        state: whether it is there.
        sockets: as they travel.
        advertisements: the same, by socket id.
        size: bytes that the sockets take in a message.
    """

    beat: int
    revision: int
    heard_at: float
    state: MemberState
    sockets: list[SocketRecord]
    advertisements: dict[bytes, Advertisement]
    size: int = 0

    @property
    def version(self) -> int:
        """That of its entry."""
        return 2 * self.beat + (self.state is MemberState.GONE)


class MemberLink:
    """What the other side of one link knows, so that sockets travel once and beats not back.

    Args:
        nodes: what there is to tell.
    """

    def __init__(self, nodes: Iterable[str]) -> None:
        self.pending: dict[str, None] = dict.fromkeys(nodes)
        """Nodes of which there may be something to tell."""
        self._versions: dict[str, int] = {}
        self._revisions: dict[str, int] = {}
        self._wanted: dict[str, None] = {}

    def offer(self, node: str, version: int) -> None:
        """There is this of a node to tell, unless the other side has it."""
        if self._versions.get(node, 0) < version:
            self.pending[node] = None

    def learned(self, entry: NodeEntry, version: int) -> None:
        """The other side has sent this entry, so it has it."""
        if self._versions.get(entry.node, 0) < version:
            self._versions[entry.node] = version
        if entry.sockets is not None:
            self._revisions[entry.node] = entry.revision

    def want(self, node: str) -> None:
        """Ask the other side for the sockets of a node."""
        if len(self._wanted) < MAX_ENTRIES:
            self._wanted[node] = None

    def forget(self, node: str) -> None:
        """Remember nothing of a node."""
        self._versions.pop(node, None)
        self._revisions.pop(node, None)
        self.pending.pop(node, None)

    def outgoing(self, members: Mapping[str, KnownNode], now: float) -> NodeEntries | None:
        """The next message, or None if there is nothing to tell."""
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
                return  # one that is larger came in one message, and leaves in one
            del self.pending[node]
            self._versions[node] = version
            if new:
                room -= member.size
                self._revisions[node] = member.revision
            yield NodeEntry(
                node,
                member.beat,
                member.revision,
                min(max(0, round((now - member.heard_at) * 1000)), MAX_AGE_MS),
                gone=member.state is MemberState.GONE,
                sockets=member.sockets if new else None,
            )
