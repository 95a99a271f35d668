"""Orphaned messages: redelivered one at a time, since a member was lost or silent with them."""

from collections import deque
from collections.abc import Iterable
from operator import attrgetter

from colugo.protocol.streams.attempts import GroupMember, QueuedMessage
from colugo.protocol.streams.key_order import KeyOrder
from colugo.protocol.streams.transitions import DeliveryState

_READY = DeliveryState.READY
_in_flight = attrgetter("in_flight")


class OrphanedMessages:
    """Delivers its messages one at a time, each to a member that has nothing else in flight.

    A message that kills its consumers is found out this way, and takes no others with it.

    Attributes:
        carrier: the member that gets orphaned messages, and no others; None if there are none.
    """

    def __init__(self, keys: KeyOrder) -> None:
        self.carrier: GroupMember | None = None
        self._keys = keys
        self._waiting: deque[QueuedMessage] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def active(self) -> bool:
        """True if messages wait, or a member is reserved for them."""
        return bool(self._waiting) or self.carrier is not None

    def mark(self, queued: QueuedMessage) -> None:
        """Mark a message as orphaned: other messages of its key wait for it."""
        queued.orphaned = True
        if queued.message.key:
            self._keys.add_orphan(queued.message.key)

    def append(self, queued: QueuedMessage) -> None:
        """Queue a marked message after the others."""
        self._waiting.append(queued)

    def prepend(self, queued: QueuedMessage) -> None:
        """Queue a marked message before the others."""
        self._waiting.appendleft(queued)

    def finish(self, queued: QueuedMessage) -> None:
        """Stop waiting for a message that was settled in the queue; `take` skips it."""
        if queued.message.key:
            self._keys.finish_orphaned(queued.message.key)

    def take(self, members: Iterable[GroupMember]) -> tuple[QueuedMessage, GroupMember] | None:
        """Take the next message and its member, at least one being available; None if none is due now."""
        carrier = self.carrier
        if carrier is not None and not carrier.available:
            self._dismiss()
            carrier = None
        if carrier is not None and carrier.in_flight:
            return None
        queued = self._first()
        if queued is None:
            self._dismiss()
            return None
        if carrier is None:
            carrier = self.carrier = min((one for one in members if one.available), key=_in_flight)
        if carrier.in_flight:
            return None
        self._waiting.remove(queued)
        if queued.message.key:
            self._keys.deliver_orphaned(queued.message.key, carrier)
        return queued, carrier

    def leave(self, member: GroupMember) -> None:
        """Choose another carrier next time if this one has left."""
        if self.carrier is member:
            self.carrier = None

    def sweep(self) -> None:
        """Drop messages that are settled."""
        self._waiting = deque(queued for queued in self._waiting if queued.state is _READY)

    def _first(self) -> QueuedMessage | None:
        """Return the first message of whose key none is in flight."""
        waiting = self._waiting
        while waiting and waiting[0].state is not _READY:
            waiting.popleft()
        for queued in waiting:
            key = queued.message.key
            if queued.state is _READY and not (key and self._keys.is_in_flight(key)):
                return queued
        return None

    def _dismiss(self) -> None:
        if self.carrier is not None:
            self._keys.unblock(self.carrier)
            self.carrier = None
