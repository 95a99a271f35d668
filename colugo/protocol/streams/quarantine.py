"""Messages with which a member of a consumer group was lost or silent: handed out again, one at a time."""

from collections import deque
from collections.abc import Iterable
from operator import attrgetter

from colugo.protocol.streams.attempts import GroupMember, QueuedMessage
from colugo.protocol.streams.key_order import KeyOrder
from colugo.protocol.streams.transitions import DeliveryState

_READY = DeliveryState.READY
_held = attrgetter("in_flight")


class Quarantine:
    """Chooses, for each of them, a member that has nothing else: one that kills it takes no others with it.

    Args:
        lines: of the keys of the group.

    Attributes:
        carer: who gets suspects, and nothing else; None if there are none.
    """

    def __init__(self, lines: KeyOrder) -> None:
        self.carer: GroupMember | None = None
        self._lines = lines
        self._waiting: deque[QueuedMessage] = deque()

    @property
    def active(self) -> bool:
        """Whether some wait, or somebody has been chosen for them."""
        return bool(self._waiting) or self.carer is not None

    def mark(self, entry: QueuedMessage) -> None:
        """A message becomes suspect: it is to be handed out by itself, and before the others of its key."""
        entry.suspect = True
        if entry.message.key:
            self._lines.suspect(entry.message.key)

    def add(self, entry: QueuedMessage) -> None:
        """Let one that is marked wait, after the others."""
        self._waiting.append(entry)

    def add_first(self, entry: QueuedMessage) -> None:
        """Let one that is marked wait, before the others."""
        self._waiting.appendleft(entry)

    def finish(self, entry: QueuedMessage) -> None:
        """One that waited need not be handed out any more; it is skipped."""
        if entry.message.key:
            self._lines.drop_suspect(entry.message.key)

    def take(self, members: Iterable[GroupMember]) -> tuple[QueuedMessage, GroupMember] | None:
        """Let the one go whose turn it is; it, and who gets it. None if none can be handed out now.

        Args:
            members: of the group; one of them, at least, can be given messages.
        """
        carer = self.carer
        if carer is not None and not carer.able:
            self._dismiss()
            carer = None
        if carer is not None and carer.in_flight:
            return None
        entry = self._first()
        if entry is None:
            self._dismiss()
            return None
        if carer is None:
            carer = self.carer = min((one for one in members if one.able), key=_held)
        if carer.in_flight:
            return None
        self._waiting.remove(entry)
        if entry.message.key:
            self._lines.give_suspect(entry.message.key, carer)
        return entry, carer

    def leave(self, member: GroupMember) -> None:
        """A member has gone."""
        if self.carer is member:
            self.carer = None

    def sweep(self) -> None:
        """Let go of those that are finished."""
        self._waiting = deque(entry for entry in self._waiting if entry.state is _READY)

    def _first(self) -> QueuedMessage | None:
        """The first one of whose key nobody has another message."""
        waiting = self._waiting
        while waiting and waiting[0].state is not _READY:
            waiting.popleft()
        for entry in waiting:
            key = entry.message.key
            if entry.state is _READY and (not key or self._lines.may_go_alone(key)):
                return entry
        return None

    def _dismiss(self) -> None:
        if self.carer is not None:
            self._lines.wake(self.carer)
            self.carer = None
