"""The state and counters of one thread of a pool."""

from dataclasses import dataclass
from typing import Any

from colugo.distributor.outcomes import is_cancellation
from colugo.distributor.receipt import Receipt

Item = tuple[Any, Receipt | None]
"""A message, and the receipt to settle with it."""

_COUNTERS = ("completed", "failed", "timed_out", "cancelled", "retried", "late")


@dataclass(eq=False, slots=True)
class WorkerState:
    """The state and counters of one thread. Only that thread counts here."""

    item: Item | None = None
    """With a timeout, the message that is being sent; None between two tries."""
    since: float = 0.0
    ident: int = 0
    busy: bool = False
    replaced: bool = False
    completed: int = 0
    failed: int = 0
    timed_out: int = 0
    cancelled: int = 0
    retried: int = 0
    late: int = 0

    @property
    def ended(self) -> int:
        """Messages that have had their outcome."""
        return self.completed + self.failed + self.timed_out + self.cancelled

    def count(self, error: BaseException) -> None:
        """Count a message that ended with an error."""
        if isinstance(error, TimeoutError):
            self.timed_out += 1
        elif is_cancellation(error):
            self.cancelled += 1
        else:
            self.failed += 1

    def add(self, other: "WorkerState") -> None:
        """Add the counters of another thread."""
        for name in _COUNTERS:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def take(self, other: "WorkerState") -> None:
        """Add the counters of another thread, and set those to 0."""
        self.add(other)
        for name in _COUNTERS:
            setattr(other, name, 0)
