"""What a node says of itself when it is asked: plain data that goes to JSON and back. Pure.

Whoever reads one must cope with fields that a newer node has added, and with the defaults of those that
an older one does not send. Ids are hexadecimal; times are milliseconds, but for the wall clock.
"""

import ipaddress
from typing import Any

import msgspec

from colugo.errors import DecodeError
from colugo.protocol.advertisement import check_name, check_realm
from colugo.protocol.topics import Pattern, check_topic

DESCRIBE = "describe"
"""The question that a node's own endpoint answers with a `NodeDescription`."""


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


PartDescription = (
    PublisherDescription
    | SubscriberDescription
    | ReplyServerDescription
    | RequestClientDescription
    | RespondentDescription
    | SurveyorDescription
)


class KnownSocket(msgspec.Struct, frozen=True):
    """A socket that a node knows of by its advertisement.

    Attributes:
        socket_id: its id.
        kind: as in the TXT record.
        topic: its topic.
        node: name of its node.
        node_id: UUID of its node.
        addresses: where it is.
        port: its TCP port.
        realm: of its node.
        codec: the codec's name, cut to the TXT record's 32 bytes.
        host_id: of its host.
    """

    socket_id: str
    kind: str
    topic: str
    node: str
    node_id: str
    addresses: tuple[str, ...]
    port: int
    realm: str = "default"
    codec: str = "plain"
    host_id: str = ""


class PeerDescription(msgspec.Struct):
    """A peer that was given by its address.

    Attributes:
        address: as it was given.
        state: `linked`, `not linked`, or `this node itself`.
    """

    address: str
    state: str

    @property
    def linked(self) -> bool:
        """Whether nodes exchange what they know over it."""
        return self.state != "not linked"


class NodeDescription(msgspec.Struct):
    """A node and all that is on it.

    Attributes:
        name: the node's name.
        uuid: its identity, 32 digits.
        realm: its realm.
        scope: as it was given.
        addresses: those that it uses.
        version: colugo's.
        wire_version: of the wire format.
        host_id: the same for nodes that share a network and its files.
        host_name: the machine's name.
        pid: of the process.
        time_ns: its wall clock, nanoseconds since 1970.
        mdns: whether it uses mDNS.
        peers: those given by their address.
        callback_errors: callbacks that have raised.
        publishers: its publishers.
        subscribers: its subscribers.
        reply_servers: its reply servers.
        request_clients: its request clients.
        respondents: its respondents.
        surveyors: its surveyors.
        known: the sockets it knows of in its realm, its own included.
        ignored: mDNS records it does not understand: name and reason.
        other_realms: how many sockets of other realms it has heard of.
    """

    name: str
    uuid: str
    realm: str = "default"
    scope: str = ""
    addresses: list[str] = []
    version: str = ""
    wire_version: str = ""
    host_id: str = ""
    host_name: str = ""
    pid: int = 0
    time_ns: int = 0
    mdns: bool = True
    peers: list[PeerDescription] = []
    callback_errors: int = 0
    publishers: list[PublisherDescription] = []
    subscribers: list[SubscriberDescription] = []
    reply_servers: list[ReplyServerDescription] = []
    request_clients: list[RequestClientDescription] = []
    respondents: list[RespondentDescription] = []
    surveyors: list[SurveyorDescription] = []
    known: list[KnownSocket] = []
    ignored: dict[str, str] = {}
    other_realms: int = 0

    @property
    def parts(self) -> list[PartDescription]:
        """All of its sockets."""
        return [*self.bound, *self.connecting]

    @property
    def connecting(self) -> list[SubscriberDescription | RequestClientDescription]:
        """Those that connect to others."""
        return [*self.subscribers, *self.request_clients, *self.surveyors]

    @property
    def bound(self) -> list[PublisherDescription | ReplyServerDescription]:
        """Those that others connect to."""
        return [*self.publishers, *self.reply_servers, *self.respondents]


def to_plain(description: NodeDescription) -> Any:
    """Dictionaries, lists, numbers and text, as JSON has them."""
    return msgspec.to_builtins(description)


def from_plain(data: Any) -> NodeDescription:
    """Read what another node has said, trusting nothing.

    Raises:
        DecodeError: if it is not a description; says what is wrong where.
    """
    try:
        description = msgspec.convert(data, NodeDescription)
        check_name(description.name)
        check_realm(description.realm)
        for known in description.known:
            _check_known(known)
        for part in description.parts:
            if isinstance(part, SubscriberDescription):
                Pattern(part.topic)
            else:
                check_topic(part.topic)
    except (msgspec.ValidationError, ValueError) as error:
        raise DecodeError(f"not a description of a node: {error}") from error
    return description


def _check_known(known: KnownSocket) -> None:
    check_topic(known.topic)
    check_realm(known.realm)
    for address in known.addresses:
        ipaddress.ip_address(address)
