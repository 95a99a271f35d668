"""Requests in flight: correlation numbers, deadlines, servers. Pure: `now` is passed in."""

import heapq
from collections.abc import Hashable, Iterator
from itertools import count
from typing import Generic, TypeVar

T = TypeVar("T")

_SLACK = 4096
"""The number of deadlines of answered requests that may stay in the heap before it is compacted."""


class PendingRequests(Generic[T]):
    """The table of requests in flight, with one heap of deadlines in seconds of a monotonic clock."""

    def __init__(self) -> None:
        self._requests: dict[int, tuple[T, Hashable]] = {}
        self._outstanding: dict[Hashable, int] = {}
        self._deadlines: list[tuple[float, int]] = []
        self._numbers = count(1)

    def __len__(self) -> int:
        return len(self._requests)

    def add(self, request: T, deadline: float) -> int:
        """Add a request that no server has yet, and return its correlation number."""
        number = next(self._numbers)
        self._requests[number] = (request, None)
        heapq.heappush(self._deadlines, (deadline, number))
        return number

    def assign(self, number: int, server: Hashable) -> None:
        """Assign a pending request to a server."""
        request, before = self._requests[number]
        if before is not None:
            self._release(before)
        self._requests[number] = (request, server)
        self._outstanding[server] = self._outstanding.get(server, 0) + 1

    def get(self, number: int) -> T | None:
        """Return a pending request; None if it is answered, timed out or unknown."""
        found = self._requests.get(number)
        return None if found is None else found[0]

    def server(self, number: int) -> Hashable:
        """Return the server that has a pending request; None if no server has it, or it is not pending."""
        found = self._requests.get(number)
        return None if found is None else found[1]

    def outstanding(self, server: Hashable) -> int:
        """Return the number of pending requests of a server."""
        return self._outstanding.get(server, 0)

    def take(self, number: int) -> T | None:
        """Remove and return a request; None if it is answered, timed out or unknown."""
        found = self._requests.pop(number, None)
        if found is None:
            return None
        if found[1] is not None:
            self._release(found[1])
        if len(self._deadlines) > _SLACK:
            self._compact_deadlines()
        return found[0]

    def answer(self, number: int, server: Hashable) -> T | None:
        """Remove and return a request that this server has; None if it does not have it, or no longer."""
        found = self._requests.get(number)
        return None if found is None or found[1] is not server else self.take(number)

    def take_server(self, server: Hashable) -> list[T]:
        """Remove and return all requests of a server, in the order of their numbers."""
        numbers = sorted(number for number, (_, its) in self._requests.items() if its is server)
        self._outstanding.pop(server, None)
        requests = [self._requests.pop(number)[0] for number in numbers]
        self._compact_deadlines()
        return requests

    def take_expired(self, now: float) -> Iterator[tuple[T, Hashable]]:
        """Remove and yield each request whose deadline has passed, with its server."""
        while self._deadlines and self._deadlines[0][0] <= now:
            number = heapq.heappop(self._deadlines)[1]
            found = self._requests.pop(number, None)
            if found is not None:
                if found[1] is not None:
                    self._release(found[1])
                yield found

    def take_all(self) -> list[T]:
        """Remove and return all requests."""
        requests = [request for request, _ in self._requests.values()]
        self._requests.clear()
        self._outstanding.clear()
        self._deadlines.clear()
        return requests

    def next_deadline(self) -> float | None:
        """Return the earliest deadline of a pending request; None if none is pending."""
        while self._deadlines and self._deadlines[0][1] not in self._requests:
            heapq.heappop(self._deadlines)
        return self._deadlines[0][0] if self._deadlines else None

    def _compact_deadlines(self) -> None:
        if len(self._deadlines) > _SLACK + 2 * len(self._requests):
            self._deadlines = [entry for entry in self._deadlines if entry[1] in self._requests]
            heapq.heapify(self._deadlines)

    def _release(self, server: Hashable) -> None:
        left = self._outstanding[server] - 1
        if left:
            self._outstanding[server] = left
        else:
            del self._outstanding[server]
