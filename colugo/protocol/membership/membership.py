"""A gossip protocol of membership: a node that is linked to one other learns of all.

Each node owns one entry, about itself, and increments its heartbeat (*beat*) every few seconds. Nodes pass
entries on from link to link, newer ones replacing older ones, each with its age; so an entry that is not
refreshed expires everywhere at the same time, whatever path it took. An entry is marked *gone* by its node
when it leaves, or by another node that finds it dead. A node that is marked by mistake refutes that with a
higher beat, as in SWIM. `now` is passed in, in seconds of any monotonic clock.
"""

from collections.abc import Callable, Hashable

from colugo.protocol.advertisement import Advertisement
from colugo.protocol.membership.entries import (
    MAX_BEAT,
    NodeEntries,
    NodeEntry,
    fitting_records,
    read_sockets,
    size_of,
)
from colugo.protocol.membership.member_link import KnownNode, MemberLink, MemberState, version_of

BEAT_S = 3.0
EXPIRE_S = 10.0
"""The age of a beat at which its entry expires."""
TOMBSTONE_S = 30.0
"""The time for which an expired entry is remembered, so that it does not return over another path."""
FRESH_S = 4.5
"""The age up to which a beat proves that a node is alive, even if its address does not answer."""
STALL_S = 2.5
"""The pause between ticks after which nothing expires: the node must read what others sent meanwhile."""
MAX_NODES = 4096
MAX_SOCKETS_ALTOGETHER = 65536

OnChange = Callable[[MemberState, Advertisement], None]


class Membership:
    """The membership table of one node.

    Args:
        own: the node's id, 32 hexadecimal digits.
        realm: sockets of other realms are ignored.
        on_change: called with ALIVE for each new or changed advertisement, and with GONE or EXPIRED for each
            that disappears; this node's own included.
    """

    def __init__(self, own: str, realm: str, on_change: OnChange, now: float) -> None:
        self._own_id = own
        self._realm = realm
        self._on_change = on_change
        self._own = KnownNode(1, 1, now, MemberState.ALIVE, [], {})
        self._members = {own: self._own}
        self._links: dict[Hashable, MemberLink] = {}
        self._refuted: set[str] = set()
        self._reported: set[str] = set()
        self._ticked = now
        self.urgent = False
        """True if there is news to send now rather than with the next tick."""
        self.malformed = 0
        """The number of malformed sockets received."""

    @property
    def alive(self) -> dict[str, KnownNode]:
        """The nodes that are alive, this one included."""
        return {one: member for one, member in self._members.items() if member.state is MemberState.ALIVE}

    @property
    def size(self) -> int:
        """The number of nodes in the table, gone and expired ones included."""
        return len(self._members)

    def find(self, node: str) -> KnownNode | None:
        """Return a node if it is alive."""
        member = self._members.get(node)
        return member if member is not None and member.state is MemberState.ALIVE else None

    def mark_flushed(self) -> None:
        """Take note that the news is being sent."""
        self.urgent = False

    def publish(self, advertisements: list[Advertisement], now: float) -> int:
        """Set this node's sockets, and return how many fit into its entry: all, up to thousands."""
        own = self._own
        self._beat(now)
        own.revision = own.beat
        own.sockets = fitting_records(advertisements)
        own.size = size_of(own.sockets)
        self._replace(own, {one.socket_id: one for one in advertisements})
        self.urgent = True
        return len(own.sockets)

    def leave(self, now: float) -> None:
        """Mark this node as gone."""
        self._beat(now)
        self._own.state = MemberState.GONE
        self.urgent = True

    def tick(self, now: float) -> None:
        """Increment the beat when due, and expire silent nodes. Call it about once a second."""
        stalled = now - self._ticked > STALL_S
        self._ticked = now
        if self._own.state is MemberState.ALIVE and now - self._own.beat_at >= BEAT_S:
            self._beat(now)
        for node, member in [] if stalled else list(self._members.items()):
            age = now - member.beat_at
            if member is self._own or age < EXPIRE_S:
                continue
            if member.state is MemberState.ALIVE:
                self._end(member, MemberState.EXPIRED)
            elif age >= TOMBSTONE_S:
                self._forget(node)

    def report_dead(self, node: str, now: float) -> bool:
        """Mark a node as gone whose port is closed, or belongs to another node.

        Returns:
            False if the node is unknown, or has refuted this before and still beats.
        """
        member = self.find(node)
        if member is None or member is self._own:
            return False
        if node in self._refuted and now - member.beat_at < FRESH_S:
            return False
        self._reported.add(node)
        member.beat_at = now
        self._end(member, MemberState.GONE)
        self._gossip(node, member)
        self.urgent = True
        return True

    def open_link(self, link: Hashable, now: float) -> None:
        """Add a link whose other side knows nothing, or start it anew."""
        self._links[link] = MemberLink(self._members)
        if self._own.state is MemberState.ALIVE:
            self._beat(now)
        self.urgent = True

    def restart_link(self, link: Hashable) -> None:
        """Send everything again on a link: messages were lost."""
        if link in self._links:
            self._links[link] = MemberLink(self._members)

    def close_link(self, link: Hashable) -> None:
        """Remove a link."""
        self._links.pop(link, None)

    def receive(self, link: Hashable, message: NodeEntries, now: float) -> None:
        """Merge a message that a link received."""
        state = self._links.get(link)
        if state is None:
            return
        for node in message.wanted:
            if node in self._members:
                state.forget(node)
                state.pending[node] = None
                self.urgent = True
        for entry in message.entries:
            self._merge(state, entry, now)

    def outgoing(self, link: Hashable, now: float) -> NodeEntries | None:
        """Return the next message for a link; call it until it returns None."""
        state = self._links.get(link)
        return None if state is None else state.outgoing(self._members, now)

    def _merge(self, link: MemberLink, entry: NodeEntry, now: float) -> None:
        version = version_of(entry.beat, gone=entry.gone)
        member = self._members.get(entry.node)
        if member is not None:
            link.note_received(entry, version)
            if member is self._own:
                self._refute(entry, version, now)
                return
            known = member.version
            if version <= known:
                if version < known:
                    link.pending[entry.node] = None
                return
        beat_at = now - entry.age_ms / 1000
        if now - beat_at >= (TOMBSTONE_S if entry.gone else EXPIRE_S) or not self._has_room(member, entry):
            return
        if entry.gone:
            self._merge_gone(entry, member, beat_at)
        elif not self._merge_alive(entry, member, beat_at):
            link.want(entry.node)
            self.urgent = True
            return
        link.note_received(entry, version)
        self._gossip(entry.node, self._members[entry.node])

    def _merge_gone(self, entry: NodeEntry, member: KnownNode | None, beat_at: float) -> None:
        self.urgent = True
        if member is None:
            self._members[entry.node] = KnownNode(entry.beat, 0, beat_at, MemberState.GONE, [], {})
            return
        member.beat = entry.beat
        member.beat_at = beat_at
        self._end(member, MemberState.GONE)

    def _merge_alive(self, entry: NodeEntry, member: KnownNode | None, beat_at: float) -> bool:
        """Return False if the node's sockets have to be requested."""
        changed = member is None or member.revision != entry.revision
        if entry.sockets is None and changed:
            return False
        self.urgent = self.urgent or changed or (member is not None and member.state is MemberState.GONE)
        if member is None:
            member = self._members[entry.node] = KnownNode(0, 0, beat_at, MemberState.ALIVE, [], {})
        if entry.sockets is not None:
            member.sockets = entry.sockets
            member.size = size_of(entry.sockets)
            member.revision = entry.revision
        member.beat = entry.beat
        member.beat_at = beat_at
        member.state = MemberState.ALIVE
        if entry.node in self._reported:
            self._reported.discard(entry.node)
            self._refuted.add(entry.node)
        if changed or not member.advertisements:
            found, malformed = read_sockets(entry.node, self._realm, member.sockets)
            self.malformed += malformed
            self._replace(member, found)
        return True

    def _refute(self, entry: NodeEntry, version: int, now: float) -> None:
        if self._own.state is MemberState.ALIVE and version > self._own.version:
            self._own.beat = entry.beat
            self._beat(now)
            self.urgent = True

    def _beat(self, now: float) -> None:
        self._own.beat = min(self._own.beat + 1, MAX_BEAT)
        self._own.beat_at = now
        self._gossip(self._own_id, self._own)

    def _gossip(self, node: str, member: KnownNode) -> None:
        version = member.version
        for link in self._links.values():
            link.offer(node, version)

    def _has_room(self, member: KnownNode | None, entry: NodeEntry) -> bool:
        """Return True if an entry fits into the table, which untrusted peers must not grow without bound."""
        more = len(entry.sockets or ()) - (0 if member is None else len(member.sockets))
        held = sum(len(one.sockets) for one in self._members.values()) if more > 0 else 0
        return held + more <= MAX_SOCKETS_ALTOGETHER and (
            member is not None or len(self._members) < MAX_NODES
        )

    def _replace(
        self, member: KnownNode, present: dict[bytes, Advertisement], ended: MemberState = MemberState.GONE
    ) -> None:
        before, member.advertisements = member.advertisements, present
        for socket_id, advertisement in before.items():
            if socket_id not in present:
                self._on_change(ended, advertisement)
        for socket_id, advertisement in present.items():
            if before.get(socket_id) != advertisement:
                self._on_change(MemberState.ALIVE, advertisement)

    def _end(self, member: KnownNode, state: MemberState) -> None:
        member.state = state
        self._replace(member, {}, state)

    def _forget(self, node: str) -> None:
        del self._members[node]
        self._reported.discard(node)
        self._refuted.discard(node)
        for link in self._links.values():
            link.forget(node)
