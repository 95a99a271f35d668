"""The producers and listeners of each topic."""

import threading
from typing import Any

from colugo.dispatcher.audience import Audiences, audience_of
from colugo.dispatcher.listener import ResultListener
from colugo.dispatcher.mailbox import Mailbox
from colugo.dispatcher.worker import Worker
from colugo.errors import ConfigurationError


def check_kind(member: object, kind: type) -> None:
    """Refuse an object that is not of a class.

    Raises:
        ConfigurationError: if it is not.
    """
    if not isinstance(member, kind):
        raise ConfigurationError(f"only a {kind.__name__} can be registered here, not {member!r}")


class Registrations:
    """The registered members. Changes replace whole tuples under a lock, so that reading needs none.

    Attributes:
        lock: the lock of all changes; reentrant, because a signal handler may interrupt one.
        starting: the lock of `start`, which waits for the node, whose callbacks may register members.
        producers: the mailboxes of producers; a topic is a key as long as it has one.
        audiences: the listeners.
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
