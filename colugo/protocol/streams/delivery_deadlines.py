"""The deadlines of a group's messages: of those in flight, and of those that wait for a retry."""

import heapq
from collections import deque
from collections.abc import Sequence
from itertools import count

from colugo.protocol.streams.attempts import QueuedMessage
from colugo.protocol.streams.transitions import DeliveryState

_IN_FLIGHT = DeliveryState.IN_FLIGHT
_PAUSED = DeliveryState.PAUSED
_MAX_STALE = 1000
"""The number of outdated deadlines that may accumulate before a sweep."""


class AckDeadlines:
    """The acknowledgement deadlines of messages in flight, in seconds, added in the order of time."""

    def __init__(self) -> None:
        self._batches: deque[tuple[float, list[QueuedMessage]]] = deque()
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def add(self, deadline: float, batch: Sequence[QueuedMessage], in_flight: int) -> None:
        """Set, or extend, the deadline of messages; `in_flight`, of all messages, bounds what is kept."""
        for queued in batch:
            queued.deadline = deadline
        self._batches.append((deadline, list(batch)))
        self._size += len(batch)
        if self._size > 2 * in_flight + _MAX_STALE:
            self._sweep()

    def next(self) -> float | None:
        """Return the earliest deadline; None if nothing is in flight."""
        batches = self._batches
        while batches:
            deadline, batch = batches[0]
            while batch and not _is_due_at(batch[-1], deadline):
                batch.pop()
                self._size -= 1
            if batch:
                return deadline
            batches.popleft()
        return None

    def take_late(self, now: float) -> list[QueuedMessage]:
        """Remove and return the messages whose deadline has passed."""
        late: dict[QueuedMessage, None] = {}
        while self._batches and self._batches[0][0] <= now:
            deadline, batch = self._batches.popleft()
            self._size -= len(batch)
            late.update((queued, None) for queued in batch if _is_due_at(queued, deadline))
        return list(late)

    def _sweep(self) -> None:
        """Drop outdated deadlines that wait behind one that is still pending."""
        kept = deque(
            (deadline, still)
            for deadline, batch in self._batches
            if (still := [queued for queued in batch if _is_due_at(queued, deadline)])
        )
        self._batches = kept
        self._size = sum(len(batch) for _, batch in kept)


def _is_due_at(queued: QueuedMessage, deadline: float) -> bool:
    return queued.state is _IN_FLIGHT and queued.deadline == deadline


class RetrySchedule:
    """Paused messages by the time of their retry, in seconds; it skips those that are settled meanwhile."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, QueuedMessage]] = []
        self._ties = count()

    def __len__(self) -> int:
        return len(self._heap)

    def add(self, queued: QueuedMessage, due: float) -> None:
        """Schedule a paused message."""
        heapq.heappush(self._heap, (due, next(self._ties), queued))

    def next(self) -> float | None:
        """Return the time of the next retry; None if there is none."""
        while self._heap and self._heap[0][2].state is not _PAUSED:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def take_due(self, now: float) -> list[QueuedMessage]:
        """Remove and return the messages whose retry is due."""
        due = []
        while self._heap and self._heap[0][0] <= now:
            queued = heapq.heappop(self._heap)[2]
            if queued.state is _PAUSED:
                due.append(queued)
        return due

    def sweep(self) -> None:
        """Drop messages that are settled."""
        self._heap = [pause for pause in self._heap if pause[2].state is _PAUSED]
        heapq.heapify(self._heap)
