"""The ready messages of a consumer group, and the choice of the member that gets each."""

from collections import deque
from collections.abc import Collection, Iterable
from operator import attrgetter

from colugo.protocol.streams.attempts import GroupMember, QueuedMessage, by_seq
from colugo.protocol.streams.key_order import KeyOrder
from colugo.protocol.streams.orphaned_messages import OrphanedMessages
from colugo.protocol.streams.transitions import DeliveryState

# members of an enum are slow to look up, and each message needs these
_READY = DeliveryState.READY
_IN_FLIGHT = DeliveryState.IN_FLIGHT
_in_flight = attrgetter("in_flight")

Assignments = dict[GroupMember, list[QueuedMessage]]
Members = Collection[GroupMember]


class Assignment:
    """The messages that wait for a member's credit; settled ones among them are skipped."""

    def __init__(self, keys: KeyOrder, orphans: OrphanedMessages) -> None:
        self._keys = keys
        self._orphans = orphans
        self._ready: deque[QueuedMessage] = deque()

    def __len__(self) -> int:
        return len(self._ready)

    def append(self, batch: Iterable[QueuedMessage]) -> None:
        """Queue messages after the others."""
        self._ready.extend(batch)

    def prepend(self, batch: list[QueuedMessage]) -> None:
        """Queue messages before the others."""
        self._ready.extendleft(reversed(batch))

    def requeue(self, batch: list[QueuedMessage]) -> None:
        """Queue returned messages, ordered by number, before those that have never been delivered."""
        batch.sort(key=by_seq)
        by_key: dict[str, list[QueuedMessage]] = {}
        for queued in batch:
            if not queued.orphaned:
                by_key.setdefault(queued.message.key, []).append(queued)
        ordered = {key for key, same in by_key.items() if key and self._keys.requeue(key, same)}
        for queued in reversed(batch):
            if queued.orphaned:
                self._orphans.prepend(queued)
            elif queued.message.key not in ordered:
                self._ready.appendleft(queued)

    def sweep(self) -> None:
        """Drop messages that are settled."""
        self._ready = deque(queued for queued in self._ready if queued.state is _READY)

    def assign(self, members: Members) -> Assignments:
        """Deliver as many messages as the members have credit for; at least one of them has some."""
        given: Assignments = {}
        if self._orphans.active and (taken := self._orphans.take(members)) is not None:
            _deliver(*taken, given)
        if self._keys.unblocked:
            self._assign_unblocked(members, given)
        if self._ready:
            self._assign_ready(members, given)
            if self._keys.unblocked:
                self._assign_unblocked(members, given)
        return given

    def _with_credit(self, members: Members) -> list[GroupMember]:
        """Return the members that can take messages that are not orphaned, the least loaded first."""
        carrier = self._orphans.carrier
        able = [one for one in members if one.credit > 0 and one is not carrier]
        return sorted(able, key=_in_flight) if len(able) > 1 else able

    def _assign_ready(self, members: Members, given: Assignments) -> None:
        """Share messages that wait for no other evenly among the members that have credit."""
        while self._ready and (able := self._with_credit(members)):
            for number, member in enumerate(able):
                share = -(-len(self._ready) // (len(able) - number))
                batch = self._take(member, min(member.credit, share))
                if batch:
                    member.in_flight += len(batch)
                    given.setdefault(member, []).extend(batch)

    def _take(self, member: GroupMember, most: int) -> list[QueuedMessage]:
        ready, keys = self._ready, self._keys
        batch: list[QueuedMessage] = []
        while most and ready:
            queued = ready.popleft()
            if queued.state is not _READY:  # discarded, or acknowledged late
                continue
            if queued.message.key and not keys.admit(queued, member):
                continue
            queued.state = _IN_FLIGHT
            queued.attempt += 1
            queued.member = member
            batch.append(queued)
            most -= 1
        return batch

    def _assign_unblocked(self, members: Members, given: Assignments) -> None:
        """Deliver messages that waited for others of their key, or for the member that has these."""
        for queue in self._keys.take_unblocked():
            if not queue.in_flight:
                able = self._with_credit(members)
                if not able:
                    self._keys.retry(queue)
                    continue
                queue.member = able[0]
            member = queue.member
            assert member is not None
            while queue.waiting and member.credit > 0 and member is not self._orphans.carrier:
                queued = queue.waiting.popleft()
                if queued.state is _READY:
                    queue.in_flight += 1
                    _deliver(queued, member, given)
            if queue.waiting:
                member.blocked[queue] = None


def _deliver(queued: QueuedMessage, member: GroupMember, given: Assignments) -> None:
    queued.state = _IN_FLIGHT
    queued.attempt += 1
    queued.member = member
    member.in_flight += 1
    given.setdefault(member, []).append(queued)
