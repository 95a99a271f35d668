"""One request: who is asked, and what it has come to."""

from collections.abc import Mapping
from typing import Any, Protocol

from colugo.dispatcher.mailbox import Mailbox


class Sink(Protocol):
    """Gets what comes of requests.

    It is called under the ledger's lock, so that what is said last is heard last; it must not run user code.
    """

    def on_result(self, request: "Request", value: Any) -> None:
        """Take a result that came in time."""

    def on_error(self, request: "Request", producer: object, error: BaseException) -> bool:
        """Take an error that came in time; False if there is nobody to tell."""

    def on_done(self, request: "Request", now: float) -> None:
        """Nothing more will come; what is left has stayed silent."""


class Judge(Protocol):
    """Decides whether an answer is in time."""

    def answered(self, request: "Request", value: Any) -> bool:
        """Take the result of a producer; whether it was in time."""

    def failed(self, request: "Request", producer: object, error: BaseException) -> bool:
        """Take the error of a producer; whether it was in time."""


class Request:
    """What producers are asked. Its judge, a `Ledger`, changes it.

    Args:
        judge: keeps it until it is over.
        sink: gets what comes of it.
        topic: of the request.
        args: for the producers.
        kwargs: the same.
        ttl: milliseconds from its sending to its deadline.
        deadline: when its time is up, in seconds of the monotonic clock.
        mailboxes: of the producers that are asked.

    Attributes:
        asked: how many producers there are.
        key: by which its judge finds it.
        left: how many of them have not answered.
        results: how many have.
        errors: how many have failed.
        silent: how many had not answered when it ended.
        surveyed: whether a survey of other nodes is under way; it counts as one of those left.
        over: whether nobody waits for it any more.
    """

    __slots__ = (
        "args",
        "asked",
        "deadline",
        "errors",
        "judge",
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
        "ttl",
    )

    def __init__(  # noqa: PLR0917 - one is made for each sending, and keywords take time
        self,
        judge: Judge,
        sink: Sink,
        topic: str,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        ttl: float,
        deadline: float,
        mailboxes: tuple[Mailbox[Any], ...],
    ) -> None:
        self.judge = judge
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
        self.judge.answered(self, value)

    def failed(self, producer: object, error: BaseException) -> None:
        """Take what a producer has raised, on its thread, or why it was not asked."""
        self.judge.failed(self, producer, error)
