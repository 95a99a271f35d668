"""The order of messages of one key: one member at a time has some in flight, and the others wait."""

from collections import deque

from colugo.protocol.streams.attempts import GroupMember, KeyQueue, QueuedMessage, by_seq
from colugo.protocol.streams.transitions import DeliveryState

_READY = DeliveryState.READY


class KeyOrder:
    """The queues of all keys that have messages in flight or waiting.

    Attributes:
        unblocked: the queues that may have something to deliver.
    """

    def __init__(self) -> None:
        self._queues: dict[str, KeyQueue] = {}
        self.unblocked: dict[KeyQueue, None] = {}

    def __len__(self) -> int:
        return len(self._queues)

    def admit(self, queued: QueuedMessage, member: GroupMember) -> bool:
        """Count a message as in flight at a member and return True, or queue it behind others of its key."""
        key = queued.message.key
        queue = self._queues.get(key)
        if queue is None:
            self._queues[key] = KeyQueue(key, member, 1)
            return True
        if queue.member is member and queue.in_flight and not (queue.waiting or queue.orphaned):
            queue.in_flight += 1
            return True
        queue.waiting.append(queued)
        self.unblocked[queue] = None
        return False

    def is_in_flight(self, key: str) -> bool:
        """Return True if a member has a message of a key in flight."""
        queue = self._queues.get(key)
        return queue is not None and queue.in_flight > 0

    def add_orphan(self, key: str) -> None:
        """Let the other messages of a key wait for a orphaned one."""
        self._queues.setdefault(key, KeyQueue(key)).orphaned += 1

    def deliver_orphaned(self, key: str, member: GroupMember) -> None:
        """Count a orphaned message as in flight at a member."""
        queue = self._queues[key]
        queue.member = member
        queue.orphaned -= 1
        queue.in_flight += 1

    def finish_orphaned(self, key: str) -> None:
        """Stop waiting for a orphaned message that has been settled."""
        queue = self._queues[key]
        queue.orphaned -= 1
        self._unblock_or_remove(queue)

    def end_flight(self, key: str) -> None:
        """Count a message of a key as no longer in flight."""
        queue = self._queues[key]
        queue.in_flight -= 1
        self._unblock_or_remove(queue)

    def requeue(self, key: str, batch: list[QueuedMessage]) -> bool:
        """Insert returned messages of a key among those that wait, by number; False if it has no queue."""
        queue = self._queues.get(key)
        if queue is None:
            return False
        queue.waiting = deque(sorted([*batch, *queue.waiting], key=by_seq))
        self.unblocked[queue] = None
        return True

    def unblock(self, member: GroupMember) -> None:
        """Unblock the queues that wait for a member's credit."""
        if member.blocked:
            self.unblocked.update(member.blocked)
            member.blocked.clear()

    def take_unblocked(self) -> list[KeyQueue]:
        """Remove and return the unblocked queues; pass those back to `retry` that find no member."""
        unblocked, self.unblocked = self.unblocked, {}
        return [queue for queue in unblocked if not (queue.orphaned or self._remove_if_empty(queue))]

    def retry(self, queue: KeyQueue) -> None:
        """Keep a queue unblocked: it needs the credit of any member."""
        self.unblocked[queue] = None

    def sweep(self) -> None:
        """Drop messages that are settled."""
        for queue in list(self._queues.values()):
            queue.waiting = deque(queued for queued in queue.waiting if queued.state is _READY)
            self._remove_if_empty(queue)

    def _unblock_or_remove(self, queue: KeyQueue) -> None:
        if not (queue.in_flight or queue.orphaned or self._remove_if_empty(queue)):
            self.unblocked[queue] = None

    def _remove_if_empty(self, queue: KeyQueue) -> bool:
        """Return True if no message waits in the queue, and remove it if none is in flight either."""
        waiting = queue.waiting
        while waiting and waiting[0].state is not _READY:
            waiting.popleft()
        if waiting:
            return False
        if not (queue.in_flight or queue.orphaned) and self._queues.get(queue.key) is queue:
            del self._queues[queue.key]
            self.unblocked.pop(queue, None)
        return True


class NoKeyOrder(KeyOrder):
    """The order of a stream whose keys only select groups: no message waits, and no key has a queue."""

    def admit(self, queued: QueuedMessage, member: GroupMember) -> bool:
        """Return True: any member may have the message."""
        del queued, member
        return True

    def add_orphan(self, key: str) -> None:
        """Let no message wait for an orphaned one."""

    def deliver_orphaned(self, key: str, member: GroupMember) -> None:
        """Count nothing."""

    def finish_orphaned(self, key: str) -> None:
        """Unblock nothing."""

    def end_flight(self, key: str) -> None:
        """Unblock nothing."""
