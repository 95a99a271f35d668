"""One request: its arguments, its producers, and its counters."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from colugo.dispatcher.mailbox import Mailbox
from colugo.errors import ConfigurationError, FlowError, TopicError

LONGEST_TTL_MS = 10 * 365 * 86_400_000
"""Ten years: beyond that, the floats of different deadlines would be equal, or infinite."""
_MOST_EARLY = 100_000


def check_ttl(ttl: object) -> int | float:
    """Return a time to live, ten years at most.

    Raises:
        ConfigurationError: if it is not a number above 0.
    """
    if isinstance(ttl, bool) or not isinstance(ttl, int | float) or not 0 < ttl < math.inf:
        raise ConfigurationError(f"a ttl must be a number of milliseconds > 0, not {ttl!r}")
    return min(ttl, LONGEST_TTL_MS)


def check_text(topic: object) -> str:
    """Return a topic that is used within a process only.

    Raises:
        TopicError: if it is no str.
    """
    if not isinstance(topic, str):
        raise TopicError(f"a topic must be a str, not {type(topic).__name__}: {topic!r}")
    return topic


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
        tracker: keeps it until it is over.
        sink: receives its results.
        topic: its topic.
        args: positional arguments for the producers.
        kwargs: keyword arguments for the producers.
        ttl: milliseconds from its sending to its deadline.
        deadline: a time of the monotonic clock, in seconds.
        mailboxes: those of the producers that are asked.

    Attributes:
        asked: the number of producers that are asked.
        key: its key in the tracker.
        left: the number of producers that have not answered.
        results: the number of results.
        errors: the number of producers that have failed.
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


class EarlyRequest(NamedTuple):
    """The arguments of a `send_request` before the start, with the encoded request for other nodes."""

    topic: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    ttl: float
    sealed: bytes | None


class EarlyRequests(list[EarlyRequest]):
    """The requests that wait for the start, in their order."""

    def add(self, *arguments: Any) -> None:
        """Keep a request.

        Raises:
            FlowError: if there are too many.
        """
        if len(self) >= _MOST_EARLY:
            raise FlowError(f"{_MOST_EARLY} requests wait for start() of the dispatcher already")
        self.append(EarlyRequest(*arguments))
