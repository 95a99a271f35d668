"""When tries have failed of which nothing has been heard."""

from collections import deque
from collections.abc import Sequence

from colugo.protocol.streams.attempts import QueuedMessage
from colugo.protocol.streams.transitions import DeliveryState

_IN_FLIGHT = DeliveryState.IN_FLIGHT
_SPARE = 1000
"""How many finished tries may be kept before they are looked for."""


class AckDeadlines:
    """When the tries under way have failed. Their deadlines are added in the order of time."""

    def __init__(self) -> None:
        self._groups: deque[tuple[float, list[QueuedMessage]]] = deque()
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def add(self, deadline: float, entries: Sequence[QueuedMessage], in_flight: int) -> None:
        """Set the deadline of tries, new ones or such as have more time.

        Args:
            deadline: seconds; not before any that was given.
            entries: those that members have, all of them.
            in_flight: how many members have altogether; what is kept is bounded by it.
        """
        for entry in entries:
            entry.deadline = deadline
        self._groups.append((deadline, list(entries)))
        self._size += len(entries)
        if self._size > 2 * in_flight + _SPARE:
            self._sweep()

    def next(self) -> float | None:
        """The first one, seconds; None if nothing is under way."""
        groups = self._groups
        while groups:
            deadline, entries = groups[0]
            while entries and not _waits(entries[-1], deadline):
                entries.pop()
                self._size -= 1
            if entries:
                return deadline
            groups.popleft()
        return None

    def late(self, now: float) -> list[QueuedMessage]:
        """The tries that have failed.

        Args:
            now: seconds.
        """
        late: dict[QueuedMessage, None] = {}
        while self._groups and self._groups[0][0] <= now:
            deadline, entries = self._groups.popleft()
            self._size -= len(entries)
            late.update((entry, None) for entry in entries if _waits(entry, deadline))
        return list(late)

    def _sweep(self) -> None:
        """Let go of what is finished, behind one that takes long."""
        kept = deque(
            (deadline, still)
            for deadline, entries in self._groups
            if (still := [entry for entry in entries if _waits(entry, deadline)])
        )
        self._groups = kept
        self._size = sum(len(entries) for _, entries in kept)


def _waits(entry: QueuedMessage, deadline: float) -> bool:
    return entry.state is _IN_FLIGHT and entry.deadline == deadline
