"""One request: its arguments, its producers, and its counters."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from colugo.dispatcher.mailbox import Mailbox
from colugo.errors import ConfigurationError, TopicError

LONGEST_TTL_MS = 10 * 365 * 86_400_000
"""Ten years: beyond that, the floats of different deadlines would be equal, or infinite."""


def check_ttl(ttl: object) -> int | float:
    """Return a time to live, ten years at most; raise ConfigurationError if it is not a number > 0."""
    if isinstance(ttl, bool) or not isinstance(ttl, int | float) or not 0 < ttl < math.inf:
        raise ConfigurationError(f"a ttl must be a number of milliseconds > 0, not {ttl!r}")
    return min(ttl, LONGEST_TTL_MS)


def check_text(topic: object) -> str:
    """Return a topic that is used within a process only; raise TopicError if it is no str."""
    if not isinstance(topic, str):
        raise TopicError(f"a topic must be a str, not {type(topic).__name__}: {topic!r}")
    return topic


@dataclass(frozen=True, slots=True)
class DispatchSummary:
    """The outcome of a request; each of its producers is in one of the three counts.

    Attributes:
        producers: the producers that were asked.
        results: those that have answered in time.
        errors: those that have raised, could not take the request, or were lost.
        silent: those that have not answered in time.
        elapsed_ms: milliseconds from the sending to the end.
    """

    producers: int
    results: int
    errors: int
    silent: int
    elapsed_ms: float


class ResultSink(Protocol):
    """Receives the results of requests.

    It is called under the lock of `OpenRequests`, so that the last event arrives last; it must not run user
    code.
    """

    def on_result(self, request: "Request", value: Any) -> None:
        """Take a result that came in time."""

    def on_error(self, request: "Request", producer: object, error: BaseException) -> bool:
        """Take an error that came in time; return False if it reaches no listener."""

    def on_done(self, request: "Request", now: float) -> None:
        """Take the end of a request; producers that are left have stayed silent."""


class RequestTracker(Protocol):
    """Decides whether an answer is in time."""

    def answered(self, request: "Request", value: Any) -> bool:
        """Take the result of a producer; return True if it was in time."""

    def failed(self, request: "Request", producer: object, error: BaseException) -> bool:
        """Take the error of a producer; return True if it was in time."""


class Request:
    """A request to producers. Its tracker, `OpenRequests`, changes it.

    Args:
        sink: receives its results.
        ttl: milliseconds from its sending to its deadline.
        deadline: a time of the monotonic clock, in seconds.
        mailboxes: those of the producers that are asked.

    Attributes:
        asked: the number of producers that are asked.
        key: its key in the tracker.
        left: the number of producers that have not answered.
        silent: the number of producers that had not answered at its end.
        surveyed: True while a survey of other nodes is in progress; it counts as one of those left.
        over: True once it has ended.
    """

    __slots__ = (
        "args",
        "asked",
        "deadline",
        "errors",
        "key",
        "kwargs",
        "left",
        "mailboxes",
        "over",
        "results",
        "silent",
        "sink",
        "surveyed",
        "topic",
        "tracker",
        "ttl",
    )

    def __init__(  # noqa: PLR0917 - made for each request, and keywords are slow
        self,
        tracker: RequestTracker,
        sink: ResultSink,
        topic: str,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        ttl: float,
        deadline: float,
        mailboxes: tuple[Mailbox[Any], ...],
    ) -> None:
        self.tracker = tracker
        self.sink = sink
        self.topic = topic
        self.args = args
        self.kwargs = kwargs
        self.ttl = ttl
        self.deadline = deadline
        self.mailboxes = mailboxes
        self.asked = self.left = len(mailboxes)
        self.results = self.errors = self.silent = 0
        self.surveyed = self.over = False
        self.key = deadline

    def answered(self, value: Any) -> None:
        """Take the result of a producer, on its thread."""
        self.tracker.answered(self, value)

    def failed(self, producer: object, error: BaseException) -> None:
        """Take the exception of a producer, on its thread, or the reason that it was not asked."""
        self.tracker.failed(self, producer, error)
