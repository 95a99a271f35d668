"""What the sockets of a node say of themselves, as in its `NodeDescription`. Pure."""

import msgspec


class ReaderDescription(msgspec.Struct):
    """A subscriber as its publisher sees it.

    Attributes:
        reader: the subscriber's id.
        behind: whether nothing is sent to it until it has caught up.
        skipped: messages that it has not been sent since it fell behind.
        unhandled: segments of the stream that it has been granted and has not handled.
        quiet_ms: since it last said that it has handled something.
    """

    reader: str
    behind: bool = False
    skipped: int = 0
    unhandled: int = 0
    quiet_ms: int = 0


class PublisherDescription(msgspec.Struct):
    """A publisher.

    Attributes:
        topic: its topic.
        socket_id: its id, as in its advertisement.
        codec: the codec's full name.
        framing: `colugo` or `raw`.
        endpoints: where it is bound.
        flow: `drop` or `wait`.
        conflate: whether only the newest message counts for a reader that does not keep up.
        sent: messages.
        sent_bytes: bytes of payloads.
        subscribers: readers that are connected now.
        dropped: messages not sent to readers that were behind.
        readers: each of them; of plain ZeroMQ readers nothing is known.
    """

    topic: str
    socket_id: str
    codec: str = "plain"
    framing: str = "colugo"
    endpoints: list[str] = []
    flow: str = "drop"
    conflate: bool = False
    sent: int = 0
    sent_bytes: int = 0
    subscribers: int = 0
    dropped: int = 0
    readers: list[ReaderDescription] = []


class LinkDescription(msgspec.Struct):
    """A connection, or the attempt at one, to a bound socket.

    Attributes:
        socket_id: of the other side; zeros for a plain ZeroMQ socket given by its address.
        node: name of the other side's node, or the address that was given.
        topic: the other side's; empty for one given by its address.
        endpoint: where it is.
        connected: whether it has answered and not been lost since.
        since_ms: for how long that has been so.
        received: messages that have come by it.
        lost: messages that will not come.
        undecodable: messages that did not fit the codec.
        last_error: of the last one that did not.
    """

    socket_id: str
    node: str
    topic: str
    endpoint: str
    connected: bool
    since_ms: int = 0
    received: int = 0
    lost: int = 0
    undecodable: int = 0
    last_error: str = ""


class SubscriberDescription(msgspec.Struct):
    """A subscriber.

    Attributes:
        topic: its topic or pattern.
        reader: its id, by which publishers know it.
        codec: the codec's full name.
        queue: messages that wait now for a coroutine, a thread or the iteration.
        queue_limit: beyond that the oldest are dropped; 0 if there is no queue.
        received: messages handed on.
        dropped: of those, how many the full queue has dropped.
        undecodable: messages that did not fit the codec.
        malformed: frames that were not of the wire format.
        lost: messages that will not come, of all publishers, those that are gone included.
        links: its connections.
    """

    topic: str
    reader: str = ""
    codec: str = "plain"
    queue: int = 0
    queue_limit: int = 0
    received: int = 0
    dropped: int = 0
    undecodable: int = 0
    malformed: int = 0
    lost: int = 0
    links: list[LinkDescription] = []


class ReplyServerDescription(msgspec.Struct):
    """A reply server.

    Attributes:
        topic: its topic.
        socket_id: its id, as in its advertisement.
        codec: the codec's full name.
        endpoints: where it is bound.
        requests: requests received.
        replies: replies sent, errors included.
        errors: of those, how many were errors.
        dropped: replies whose client had gone or did not read.
        undecodable: requests that did not fit the codec.
        malformed: messages that were no requests.
    """

    topic: str
    socket_id: str
    codec: str = "plain"
    endpoints: list[str] = []
    requests: int = 0
    replies: int = 0
    errors: int = 0
    dropped: int = 0
    undecodable: int = 0
    malformed: int = 0


class RequestClientDescription(msgspec.Struct):
    """A request client.

    Attributes:
        topic: its topic.
        codec: the codec's full name.
        pending: requests in flight.
        sent: requests.
        replies: replies in time, errors included.
        timeouts: requests that were not answered in time.
        lost: requests whose server was gone.
        malformed: frames that were not of the wire format.
        links: its connections.
    """

    topic: str
    codec: str = "plain"
    pending: int = 0
    sent: int = 0
    replies: int = 0
    timeouts: int = 0
    lost: int = 0
    malformed: int = 0
    links: list[LinkDescription] = []


class RespondentDescription(ReplyServerDescription):
    """A respondent: as a reply server, of surveys."""


class SurveyorDescription(RequestClientDescription):
    """A surveyor: as a request client. `sent` are its surveys; the others count single respondents."""
