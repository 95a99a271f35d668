"""The options and counters of a target."""

from typing import Literal

import msgspec

from colugo.errors import ConfigurationError
from colugo.patterns.base import check_choice

Full = Literal["drop-oldest", "drop-newest", "wait"]
UNLIMITED = -1
"""As `retries`: try until the message leaves or the target closes."""


class TargetOptions(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """How a distributor treats one target. None stands for the default of the target's class.

    Attributes:
        queue: messages that may wait, at least 1.
        full: what happens when so many wait: `"drop-oldest"`, `"drop-newest"`, or `"wait"`, which holds up
            all sources of the target.
        workers: threads that send messages. With more than one, messages may leave in another order.
        timeout_ms: milliseconds after which a message that is being sent counts as timed out.
        retries: further tries for a message that could not be sent; -1 for no limit.
        retry_ms: milliseconds before the first retry, at most; the limit doubles with each one, and the pause
            is a random part of it (full jitter).
        max_retry_ms: milliseconds between two tries, at most.
    """

    queue: int = 10_000
    full: Full = "drop-oldest"
    workers: int | None = None
    timeout_ms: int | None = None
    retries: int | None = None
    retry_ms: int = 100
    max_retry_ms: int = 60_000

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ConfigurationError: if one cannot work.
        """
        least = {"queue": 1, "workers": 1, "timeout_ms": 1, "retry_ms": 0, "max_retry_ms": 0}
        for name, number in least.items():
            value = getattr(self, name)
            if value is not None and value < number:
                raise ConfigurationError(f"{name} must be an integer ≥ {number}, not {value!r}")
        if self.retries is not None and self.retries < UNLIMITED:
            raise ConfigurationError(
                f"retries must be an integer ≥ 0, or -1 for no limit, not {self.retries!r}"
            )
        check_choice("full", self.full, Full)


class TargetStats(msgspec.Struct, kw_only=True, frozen=True):
    """The counters of one target, in messages.

    Attributes:
        received: messages that it was given.
        completed: messages that were sent.
        queued: messages that wait.
        in_progress: messages that are being sent.
        dropped: messages that were dropped because the queue was full.
        failed: messages that raised, after all retries.
        timed_out: messages that timed out.
        cancelled: messages that were cancelled, or still queued when the target closed.
        retried: further tries.
        late: results that came after their message had timed out, and were ignored.
    """

    received: int = 0
    completed: int = 0
    queued: int = 0
    in_progress: int = 0
    dropped: int = 0
    failed: int = 0
    timed_out: int = 0
    cancelled: int = 0
    retried: int = 0
    late: int = 0
