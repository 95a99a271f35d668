"""Who is there, as nodes that are linked tell each other: knowing one is knowing all.

Each node writes one entry, about itself, and counts it up by a *beat* every few seconds. Entries are
passed on from link to link, newer ones replacing older ones, each with its age: what is not refreshed
expires everywhere at the same time, whatever way it went. An entry may be marked *gone*, by its node when
it leaves, or by another one that finds it dead. Who is marked by mistake answers with a higher beat (as
in SWIM). Pure: `now` is passed in, seconds of any monotonic clock.
"""

from collections.abc import Callable, Hashable

from colugo.protocol.advertisement import Advertisement
from colugo.protocol.membership.entries import (
    MAX_BEAT,
    NodeEntries,
    NodeEntry,
    as_many_as_fit,
    read_sockets,
    size_of,
)
from colugo.protocol.membership.member_link import KnownNode, MemberLink, MemberState, version_of

BEAT_S = 3.0
EXPIRE_S = 10.0
"""An entry whose beat is older is forgotten."""
TOMBSTONE_S = 30.0
"""How long what was forgotten is remembered as such, so that it does not come back by another way."""
FRESH_S = 4.5
"""A node whose beat is not older is alive, even if it cannot be found at its address."""
LATE_S = 2.5
"""After a pause of our own, others are heard first before they are said to be silent."""
MAX_NODES = 4096
MAX_SOCKETS_ALTOGETHER = 65536

OnChange = Callable[[MemberState, Advertisement], None]


class Membership:
    """The table of one node.

    Args:
        own: the node's id, 32 hexadecimal digits.
        realm: sockets of others are left out.
        on_change: called with ALIVE and each advertisement that is new or changed, and with GONE or EXPIRED
            and each that is no more; those of this node included.
        now: the time.
    """

    def __init__(self, own: str, realm: str, on_change: OnChange, now: float) -> None:
        self._own_id = own
        self._realm = realm
        self._on_change = on_change
        self._own = KnownNode(1, 1, now, MemberState.ALIVE, [], {})
        self._members = {own: self._own}
        self._links: dict[Hashable, MemberLink] = {}
        self._mistaken: set[str] = set()
        self._accused: set[str] = set()
        self._ticked = now
        self.urgent = False
        """Whether something should be passed on at once, and not only with the next tick."""
        self.malformed = 0
        """Sockets of others that were not understood."""

    @property
    def alive(self) -> dict[str, KnownNode]:
        """The nodes that are there, this one included."""
        return {one: member for one, member in self._members.items() if member.state is MemberState.ALIVE}

    @property
    def size(self) -> int:
        """How many nodes are remembered, those included that are no more."""
        return len(self._members)

    def find(self, node: str) -> KnownNode | None:
        """A node that is there."""
        member = self._members.get(node)
        return member if member is not None and member.state is MemberState.ALIVE else None

    # --- this node

    def publish(self, advertisements: list[Advertisement], now: float) -> int:
        """These are this node's sockets from now on.

        Returns:
            How many of them others are told of, from the first one on: all, unless there are thousands.
        """
        own = self._own
        self._beat(now)
        own.revision = own.beat
        own.sockets = as_many_as_fit(advertisements)
        own.size = size_of(own.sockets)
        self._replace(own, {one.socket_id: one for one in advertisements})
        self.urgent = True
        return len(own.sockets)

    def leave(self, now: float) -> None:
        """This node goes."""
        self._beat(now)
        self._own.state = MemberState.GONE
        self.urgent = True

    def tick(self, now: float) -> None:
        """To be called about once a second: beat, and forget who is silent."""
        late = now - self._ticked > LATE_S
        self._ticked = now
        if self._own.state is MemberState.ALIVE and now - self._own.heard_at >= BEAT_S:
            self._beat(now)
        for node, member in [] if late else list(self._members.items()):
            age = now - member.heard_at
            if member is self._own or age < EXPIRE_S:
                continue
            if member.state is MemberState.ALIVE:
                self._end(member, MemberState.EXPIRED)
            elif age >= TOMBSTONE_S:
                self._forget(node)

    def accuse(self, node: str, now: float) -> bool:
        """Say that a node is dead: its host says that there is nobody at its port, or somebody else.

        Args:
            node: its id.
            now: the time.

        Returns:
            Whether that was taken in: not if it was a mistake before and its beats come.
        """
        member = self.find(node)
        if member is None or member is self._own:
            return False
        if node in self._mistaken and now - member.heard_at < FRESH_S:
            return False
        self._accused.add(node)
        member.heard_at = now
        self._end(member, MemberState.GONE)
        self._pass_on(node, member)
        self.urgent = True
        return True

    # --- links

    def open_link(self, link: Hashable, now: float) -> None:
        """A link that knows nothing yet, or nothing any more."""
        self._links[link] = MemberLink(self._members)
        if self._own.state is MemberState.ALIVE:
            self._beat(now)
        self.urgent = True

    def restart_link(self, link: Hashable) -> None:
        """What was sent by this link has not arrived: all of it once more."""
        if link in self._links:
            self._links[link] = MemberLink(self._members)

    def close_link(self, link: Hashable) -> None:
        """It has ended."""
        self._links.pop(link, None)

    def receive(self, link: Hashable, message: NodeEntries, now: float) -> None:
        """Take in what has come by a link."""
        state = self._links.get(link)
        if state is None:
            return
        for node in message.wanted:
            if node in self._members:
                state.forget(node)
                state.pending[node] = None
                self.urgent = True
        for entry in message.entries:
            self._take(state, entry, now)

    def outgoing(self, link: Hashable, now: float) -> NodeEntries | None:
        """The next that is to be sent by a link, or None; to be called until that."""
        state = self._links.get(link)
        return None if state is None else state.outgoing(self._members, now)

    def _take(self, link: MemberLink, entry: NodeEntry, now: float) -> None:
        version = version_of(entry.beat, gone=entry.gone)
        member = self._members.get(entry.node)
        if member is not None:
            link.learned(entry, version)
            if member is self._own:
                self._defend(entry, version, now)
                return
            known = member.version
            if version <= known:
                if version < known:
                    link.pending[entry.node] = None
                return
        heard_at = now - entry.age_ms / 1000
        if now - heard_at >= (TOMBSTONE_S if entry.gone else EXPIRE_S) or not self._has_room(member, entry):
            return
        if entry.gone:
            self._take_gone(entry, member, heard_at)
        elif not self._take_alive(entry, member, heard_at):
            link.want(entry.node)
            self.urgent = True
            return
        link.learned(entry, version)
        self._pass_on(entry.node, self._members[entry.node])

    def _take_gone(self, entry: NodeEntry, member: KnownNode | None, heard_at: float) -> None:
        self.urgent = True
        if member is None:
            self._members[entry.node] = KnownNode(entry.beat, 0, heard_at, MemberState.GONE, [], {})
            return
        member.beat = entry.beat
        member.heard_at = heard_at
        self._end(member, MemberState.GONE)

    def _take_alive(self, entry: NodeEntry, member: KnownNode | None, heard_at: float) -> bool:
        """Whether its sockets are known now."""
        changed = member is None or member.revision != entry.revision
        if entry.sockets is None and changed:
            return False
        self.urgent = self.urgent or changed or (member is not None and member.state is MemberState.GONE)
        if member is None:
            member = self._members[entry.node] = KnownNode(0, 0, heard_at, MemberState.ALIVE, [], {})
        if entry.sockets is not None:
            member.sockets = entry.sockets
            member.size = size_of(entry.sockets)
            member.revision = entry.revision
        member.beat = entry.beat
        member.heard_at = heard_at
        member.state = MemberState.ALIVE
        if entry.node in self._accused:
            self._accused.discard(entry.node)
            self._mistaken.add(entry.node)
        if changed or not member.advertisements:
            found, malformed = read_sockets(entry.node, self._realm, member.sockets)
            self.malformed += malformed
            self._replace(member, found)
        return True

    def _defend(self, entry: NodeEntry, version: int, now: float) -> None:
        if self._own.state is MemberState.ALIVE and version > self._own.version:
            self._own.beat = entry.beat
            self._beat(now)
            self.urgent = True

    def _beat(self, now: float) -> None:
        self._own.beat = min(self._own.beat + 1, MAX_BEAT)
        self._own.heard_at = now
        self._pass_on(self._own_id, self._own)

    def _pass_on(self, node: str, member: KnownNode) -> None:
        version = member.version
        for link in self._links.values():
            link.offer(node, version)

    def _has_room(self, member: KnownNode | None, entry: NodeEntry) -> bool:
        """Whether a stranger may still make this table larger."""
        more = len(entry.sockets or ()) - (0 if member is None else len(member.sockets))
        held = sum(len(one.sockets) for one in self._members.values()) if more > 0 else 0
        return held + more <= MAX_SOCKETS_ALTOGETHER and (
            member is not None or len(self._members) < MAX_NODES
        )

    def _replace(
        self, member: KnownNode, now_there: dict[bytes, Advertisement], why: MemberState = MemberState.GONE
    ) -> None:
        before, member.advertisements = member.advertisements, now_there
        for socket_id, advertisement in before.items():
            if socket_id not in now_there:
                self._on_change(why, advertisement)
        for socket_id, advertisement in now_there.items():
            if before.get(socket_id) != advertisement:
                self._on_change(MemberState.ALIVE, advertisement)

    def _end(self, member: KnownNode, state: MemberState) -> None:
        member.state = state
        self._replace(member, {}, state)

    def _forget(self, node: str) -> None:
        del self._members[node]
        self._accused.discard(node)
        self._mistaken.discard(node)
        for link in self._links.values():
            link.forget(node)
