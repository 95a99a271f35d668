"""The retry schedule: messages that wait for their backoff to pass after a nack."""

import heapq
from itertools import count

from colugo.protocol.streams.attempts import QueuedMessage
from colugo.protocol.streams.transitions import DeliveryState

_PAUSED = DeliveryState.PAUSED


class RetrySchedule:
    """Paused messages, in the order in which they are due; it skips those that are settled meanwhile."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, QueuedMessage]] = []
        self._ties = count()

    def __len__(self) -> int:
        return len(self._heap)

    def add(self, queued: QueuedMessage, due: float) -> None:
        """Schedule a message.

        Args:
            queued: the message, paused.
            due: the time of its retry, seconds.
        """
        heapq.heappush(self._heap, (due, next(self._ties), queued))

    def next(self) -> float | None:
        """Return the time of the next retry, seconds; None if there is none."""
        while self._heap and self._heap[0][2].state is not _PAUSED:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def take_due(self, now: float) -> list[QueuedMessage]:
        """Remove and return the messages whose retry is due.

        Args:
            now: seconds.
        """
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
