"""Who hears of the requests of this process."""

from collections.abc import Callable
from typing import Any, NamedTuple

from colugo.dispatcher.dispatch_summary import DispatchSummary
from colugo.dispatcher.listener import ResultListener
from colugo.dispatcher.mailbox import Mailbox
from colugo.dispatcher.request import Request
from colugo.dispatcher.worker import mailbox_of

Ear = tuple[Mailbox[Any], Callable[..., Any]]
"""A listener's mailbox, and the method that is called with what is put there."""


class Audience(NamedTuple):
    """The listeners of a topic, by what they can take; never changed, but replaced.

    Attributes:
        listeners: all of them.
        results: their methods for results.
        errors: for errors, of those that have one.
        summaries: for the ends of requests, of those that have one.
    """

    listeners: tuple[ResultListener, ...]
    results: tuple[Ear, ...]
    errors: tuple[Ear, ...]
    summaries: tuple[Ear, ...]


def audience_of(listeners: tuple[ResultListener, ...]) -> Audience:
    """Look once what each of them can take."""
    return Audience(
        listeners,
        _ears(listeners, "process_dispatcher_result"),
        _ears(listeners, "process_dispatcher_error"),
        _ears(listeners, "process_dispatcher_done"),
    )


def _ears(listeners: tuple[ResultListener, ...], name: str) -> tuple[Ear, ...]:
    methods = ((listener, getattr(listener, name, None)) for listener in listeners)
    return tuple((mailbox_of(listener), method) for listener, method in methods if callable(method))


NOBODY = audience_of(())


class Audiences:
    """The sink of what `send_request` sends: the listeners of all topics.

    Attributes:
        by_topic: a topic is there as long as it has a listener.
        dropped: what a listener could not take, since it had stopped or was too far behind.
    """

    def __init__(self) -> None:
        self.by_topic: dict[str, Audience] = {}
        self.dropped = 0

    def of(self, topic: str) -> Audience:
        """Who listens to a topic."""
        return self.by_topic.get(topic, NOBODY)

    def on_result(self, request: Request, value: Any) -> None:
        """Hand a result to each listener."""
        audience = self.by_topic.get(request.topic)
        if audience is not None:
            for mailbox, method in audience.results:
                if not mailbox.put((method, (request.topic, value))):
                    self.dropped += 1

    def on_error(self, request: Request, producer: object, error: BaseException) -> bool:
        """Hand an error to each listener that takes errors; False if there is none."""
        ears = self.of(request.topic).errors
        self._tell(ears, request.topic, producer, error)
        return bool(ears)

    def on_done(self, request: Request, now: float) -> None:
        """Hand the summary to each listener that takes summaries."""
        ears = self.of(request.topic).summaries
        if ears:
            elapsed_ms = (now - request.deadline) * 1000 + request.ttl
            counts = request.asked, request.results, request.errors, request.silent
            self._tell(ears, request.topic, DispatchSummary(*counts, elapsed_ms))

    def _tell(self, ears: tuple[Ear, ...], *args: Any) -> None:
        for mailbox, method in ears:
            if not mailbox.put((method, args)):
                self.dropped += 1
