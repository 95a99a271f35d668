"""Who answers and who listens, by topic."""

import threading
from typing import Any

from colugo.dispatcher.audience import Audiences, audience_of
from colugo.dispatcher.listener import ResultListener
from colugo.dispatcher.mailbox import Mailbox
from colugo.dispatcher.worker import Worker


class Registrations:
    """Changed under a lock by putting new tuples in the place of old ones; read without it.

    Attributes:
        lock: of all changes. A signal handler may come between them, so its thread may take it again.
        starting: of `start`, which waits for the node: its callbacks may register something meanwhile.
        producers: their mailboxes; a topic is there as long as it has one.
        audiences: the listeners.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.starting = threading.RLock()
        self.producers: dict[str, tuple[Mailbox[Any], ...]] = {}
        self.audiences = Audiences()

    def add_producer(self, mailbox: Mailbox[Any], topic: str) -> None:
        """Once is enough."""
        before = self.producers.get(topic, ())
        if mailbox not in before:
            self.producers[topic] = (*before, mailbox)

    def remove_producer(self, producer: Worker, topic: str) -> Mailbox[Any] | None:
        """Return its mailbox if it was there."""
        before = self.producers.get(topic, ())
        found = next((mailbox for mailbox in before if mailbox.owner is producer), None)
        if len(before) > 1:
            self.producers[topic] = tuple(mailbox for mailbox in before if mailbox is not found)
        elif found is not None:
            del self.producers[topic]
        return found

    def add_listener(self, listener: ResultListener, topic: str) -> None:
        """Once is enough."""
        before = self.audiences.of(topic).listeners
        if not any(one is listener for one in before):
            self.audiences.by_topic[topic] = audience_of((*before, listener))

    def remove_listener(self, listener: Worker, topic: str) -> None:
        """It need not be there."""
        left = tuple(one for one in self.audiences.of(topic).listeners if one is not listener)
        if left:
            self.audiences.by_topic[topic] = audience_of(left)
        else:
            self.audiences.by_topic.pop(topic, None)

    def take_all(self) -> tuple[list[Mailbox[Any]], list[ResultListener]]:
        """Remove all producers, then all listeners, and return them; each once."""
        producers = {mailbox: None for topic in self.producers.values() for mailbox in topic}
        audiences = self.audiences.by_topic.values()
        listeners = {id(one): one for audience in audiences for one in audience.listeners}
        self.producers = {}
        return list(producers), list(listeners.values())
