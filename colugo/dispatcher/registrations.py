"""The producers and listeners of each topic."""

import threading
from collections.abc import Callable
from typing import Any, NamedTuple

from colugo.dispatcher.listener import ResultListener
from colugo.dispatcher.mailbox import Mailbox
from colugo.dispatcher.request import DispatchSummary, Request
from colugo.dispatcher.worker import Worker, mailbox_of
from colugo.errors import ConfigurationError


def check_kind(member: object, kind: type) -> None:
    """Raise ConfigurationError if an object is not of a class."""
    if not isinstance(member, kind):
        raise ConfigurationError(f"only a {kind.__name__} can be registered here, not {member!r}")


Target = tuple[Mailbox[Any], Callable[..., Any]]
"""A listener's mailbox, and the method that its thread calls with the items."""


class Audience(NamedTuple):
    """The listeners of a topic, and those of their methods that exist, by what they take."""

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


class Registrations:
    """The registered members. Changes replace whole tuples under a lock, so that reading needs none.

    Attributes:
        lock: the lock of all changes; reentrant, because a signal handler may interrupt one.
        starting: the lock of `start`, which waits for the node, whose callbacks may register members.
        producers: the mailboxes of producers; a topic is a key as long as it has one.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.starting = threading.RLock()
        self.producers: dict[str, tuple[Mailbox[Any], ...]] = {}
        self.audiences = Audiences()

    def add_producer(self, mailbox: Mailbox[Any], topic: str) -> None:
        """Add a producer; a second time is a no-op."""
        before = self.producers.get(topic, ())
        if mailbox not in before:
            self.producers[topic] = (*before, mailbox)

    def remove_producer(self, producer: Worker, topic: str) -> Mailbox[Any] | None:
        """Remove a producer, and return its mailbox if it was registered."""
        before = self.producers.get(topic, ())
        found = next((mailbox for mailbox in before if mailbox.owner is producer), None)
        if len(before) > 1:
            self.producers[topic] = tuple(mailbox for mailbox in before if mailbox is not found)
        elif found is not None:
            del self.producers[topic]
        return found

    def add_listener(self, listener: ResultListener, topic: str) -> None:
        """Add a listener; a second time is a no-op."""
        before = self.audiences.of(topic).listeners
        if not any(one is listener for one in before):
            self.audiences.by_topic[topic] = audience_of((*before, listener))

    def remove_listener(self, listener: Worker, topic: str) -> None:
        """Remove a listener, if it is registered."""
        left = tuple(one for one in self.audiences.of(topic).listeners if one is not listener)
        if left:
            self.audiences.by_topic[topic] = audience_of(left)
        else:
            self.audiences.by_topic.pop(topic, None)

    def take_all(self) -> tuple[list[Mailbox[Any]], list[ResultListener]]:
        """Remove all producers, and return them and all listeners, each once."""
        producers = {mailbox: None for topic in self.producers.values() for mailbox in topic}
        audiences = self.audiences.by_topic.values()
        listeners = {id(one): one for audience in audiences for one in audience.listeners}
        self.producers = {}
        return list(producers), list(listeners.values())
