"""The listeners of the requests of this process."""

from collections.abc import Callable
from typing import Any, NamedTuple

from colugo.dispatcher.dispatcher_stats import DispatchSummary
from colugo.dispatcher.listener import ResultListener
from colugo.dispatcher.mailbox import Mailbox
from colugo.dispatcher.request import Request
from colugo.dispatcher.worker import mailbox_of

Target = tuple[Mailbox[Any], Callable[..., Any]]
"""A listener's mailbox, and the method that its thread calls with the items."""


class Audience(NamedTuple):
    """The listeners of a topic, by the methods that they have; immutable.

    Attributes:
        listeners: all of them.
        results: the methods for results.
        errors: the methods for errors, of listeners that have one.
        summaries: the methods for the ends of requests, of listeners that have one.
    """

    listeners: tuple[ResultListener, ...]
    results: tuple[Target, ...]
    errors: tuple[Target, ...]
    summaries: tuple[Target, ...]


def audience_of(listeners: tuple[ResultListener, ...]) -> Audience:
    """Make an audience; the methods of its listeners are looked up once, here."""
    return Audience(
        listeners,
        _targets(listeners, "process_dispatcher_result"),
        _targets(listeners, "process_dispatcher_error"),
        _targets(listeners, "process_dispatcher_done"),
    )


def _targets(listeners: tuple[ResultListener, ...], name: str) -> tuple[Target, ...]:
    methods = ((listener, getattr(listener, name, None)) for listener in listeners)
    return tuple((mailbox_of(listener), method) for listener, method in methods if callable(method))


NOBODY = audience_of(())


class Audiences:
    """The listeners of all topics: the sink of the requests of `send_request`.

    Attributes:
        by_topic: the audiences; a topic is a key as long as it has a listener.
        dropped: items that a listener could not take, since it had stopped or its mailbox was full.
    """

    def __init__(self) -> None:
        self.by_topic: dict[str, Audience] = {}
        self.dropped = 0

    def of(self, topic: str) -> Audience:
        """Return the audience of a topic."""
        return self.by_topic.get(topic, NOBODY)

    def on_result(self, request: Request, value: Any) -> None:
        """Deliver a result to each listener."""
        audience = self.by_topic.get(request.topic)
        if audience is not None:
            for mailbox, method in audience.results:
                if not mailbox.put((method, (request.topic, value))):
                    self.dropped += 1

    def on_error(self, request: Request, producer: object, error: BaseException) -> bool:
        """Deliver an error to each listener that takes errors; return False if none does."""
        targets = self.of(request.topic).errors
        self._deliver(targets, request.topic, producer, error)
        return bool(targets)

    def on_done(self, request: Request, now: float) -> None:
        """Deliver the summary to each listener that takes summaries."""
        targets = self.of(request.topic).summaries
        if targets:
            elapsed_ms = (now - request.deadline) * 1000 + request.ttl
            counts = request.asked, request.results, request.errors, request.silent
            self._deliver(targets, request.topic, DispatchSummary(*counts, elapsed_ms))

    def _deliver(self, targets: tuple[Target, ...], *args: Any) -> None:
        for mailbox, method in targets:
            if not mailbox.put((method, args)):
                self.dropped += 1
