"""The descriptions of a node's sockets, as in its `NodeDescription`; derived from their stats. Pure."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, ClassVar, Self

import msgspec

from colugo.protocol.topics import TopicPattern, check_topic


class StatsDescription(msgspec.Struct):
    """The base of descriptions that have all counters of a `.stats` object, which says what they mean."""

    renamed: ClassVar[Mapping[str, str]] = {}
    """Fields of the stats that have another name in the description: the former to the latter."""

    @classmethod
    def of(cls, stats: Any, **more: Any) -> Self:
        """Build a description from stats.

        A mapping among the stats, such as `by_publisher`, is left out: `links` has its counters.
        The description must have each other field of the stats; `more` are those that only it has.
        """
        for field in fields(stats):
            value = getattr(stats, field.name)
            if not isinstance(value, Mapping):
                more[cls.renamed.get(field.name, field.name)] = value
        return cls(**more)


class PartDescription(StatsDescription):
    """A part of a node."""

    topic: str

    tag: ClassVar[str]
    """The name of the list in a `NodeDescription` that parts of this kind are in."""

    def check(self) -> None:
        """Raise `TopicError` if the topic is invalid."""
        check_topic(self.topic)


class BoundDescription(PartDescription):
    """A socket that others connect to, with its id as in its advertisement, and its codec's full name."""

    socket_id: str
    codec: str = "plain"
    endpoints: list[str] = []


class LinkDescription(msgspec.Struct):
    """A connection, or the attempt at one, to a bound socket.

    Attributes:
        socket_id: of the other side; zeros for a plain ZeroMQ socket given by its address.
        node: name of the other side's node, or the address that was given.
        topic: the other side's; empty for one given by its address.
        connected: whether it has answered and not been lost since.
        since_ms: for how long that has been so.
        received: messages that have arrived over it; the other counters are those of `SubscriptionStats`.
        last_error: of the last message that did not fit the codec.
    """

    socket_id: str
    node: str
    topic: str
    endpoint: str
    connected: bool
    since_ms: int = 0
    received: int = 0
    lost: int = 0
    conflated: int = 0
    duplicates: int = 0
    undecodable: int = 0
    last_error: str = ""


class ConnectingDescription(PartDescription, kw_only=True):
    """A part that connects to sockets of others, with its codec's full name."""

    codec: str = "plain"
    malformed: int = 0
    links: list[LinkDescription] = []


class ReaderDescription(msgspec.Struct):
    """A subscriber as its publisher sees it.

    Attributes:
        behind: whether nothing is sent to it until it has caught up.
        skipped: messages that were not sent to it since it fell behind.
        unhandled: segments of the stream that it has credit for and has not handled.
        quiet_ms: time since it last acknowledged a segment, in milliseconds.
    """

    reader: str
    behind: bool = False
    skipped: int = 0
    unhandled: int = 0
    quiet_ms: int = 0


class PublisherDescription(BoundDescription):
    """A publisher, with the counters of `PublisherStats`.

    Attributes:
        conflate: whether a reader that does not keep up gets only the newest message.
        readers: the connected readers, except plain ZeroMQ readers, of which nothing is known.
    """

    tag = "publishers"

    framing: str = "colugo"
    flow: str = "drop"
    conflate: bool = False
    sent: int = 0
    sent_bytes: int = 0
    subscribers: int = 0
    behind: int = 0
    dropped: int = 0
    readers: list[ReaderDescription] = []


class SubscriberDescription(ConnectingDescription):
    """A subscriber, with the counters of `SubscriberStats`; its topic may be a pattern.

    Attributes:
        reader: its id, by which publishers know it.
        queue: messages that wait now for a coroutine, a thread or the iteration.
        queue_limit: the most that may wait; the oldest are dropped beyond that. 0 without a queue.
    """

    tag = "subscribers"

    reader: str = ""
    queue: int = 0
    queue_limit: int = 0
    received: int = 0
    dropped: int = 0
    undecodable: int = 0
    unknown: int = 0
    publishers: int = 0
    lost: int = 0
    conflated: int = 0
    duplicates: int = 0

    def check(self) -> None:
        """Raise `TopicError` if the topic or pattern is invalid."""
        TopicPattern(self.topic)


class ReplyServerDescription(BoundDescription):
    """A reply server, with the counters of `ReplyServerStats`."""

    tag = "reply_servers"

    requests: int = 0
    replies: int = 0
    errors: int = 0
    dropped: int = 0
    undecodable: int = 0
    malformed: int = 0
    refused: int = 0


class RequestClientDescription(ConnectingDescription):
    """A request client, with the counters of `RequestClientStats`."""

    tag = "request_clients"

    pending: int = 0
    sent: int = 0
    replies: int = 0
    timeouts: int = 0
    lost: int = 0
    late: int = 0
    servers: int = 0


class RespondentDescription(ReplyServerDescription):
    """A respondent, with the counters of `RespondentStats`."""

    tag = "respondents"
    renamed: ClassVar[Mapping[str, str]] = {"surveys": "requests"}

    declined: int = 0


class SurveyorDescription(RequestClientDescription):
    """A surveyor, with the counters of `SurveyorStats`."""

    tag = "surveyors"
    renamed: ClassVar[Mapping[str, str]] = {
        "surveys": "sent",
        "silent": "timeouts",
        "left": "lost",
        "respondents": "servers",
    }

    failed: int = 0
    declined: int = 0
