"""The description that a node gives of itself: plain data, for JSON. Pure.

A reader ignores fields that a newer node has added, and uses the defaults of fields that an older node does
not send. Ids are hexadecimal. Times are milliseconds, except for the wall clock.
"""

import ipaddress
from typing import Any

import msgspec

from colugo.errors import DecodeError
from colugo.protocol.advertisement import check_name, check_realm
from colugo.protocol.description.socket_descriptions import (
    PartDescription,
    PublisherDescription,
    ReplyServerDescription,
    RequestClientDescription,
    RespondentDescription,
    SubscriberDescription,
    SurveyorDescription,
)
from colugo.protocol.description.stream_descriptions import ConsumerDescription, StreamDescription
from colugo.protocol.topics import check_topic

DESCRIBE = "describe"
"""The question that a node's own endpoint answers with a `NodeDescription`."""


class KnownSocket(msgspec.Struct, frozen=True):
    """A socket that a node knows from its advertisement.

    Attributes:
        socket_id: its id.
        kind: its kind, as in the TXT record.
        topic: its topic.
        node: name of its node.
        node_id: UUID of its node.
        addresses: its IP addresses.
        port: its TCP port.
        realm: the realm of its node.
        codec: the codec's name, cut to the TXT record's 32 bytes.
        host_id: the id of its host.
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
        address: the address, as it was given.
        state: `linked`, `not linked`, or `this node itself`.
    """

    address: str
    state: str

    @property
    def linked(self) -> bool:
        """True if the nodes exchange what they know over it."""
        return self.state != "not linked"


class NodeDescription(msgspec.Struct):
    """A node and all that is on it.

    Attributes:
        name: the node's name.
        uuid: its identity, 32 digits.
        realm: its realm.
        scope: its scope, as it was given.
        addresses: the IP addresses that it uses.
        version: its version of colugo.
        wire_version: its version of the wire format.
        host_id: the same for nodes that share a network and its files.
        host_name: the machine's name.
        pid: the id of its process.
        time_ns: its wall clock, nanoseconds since 1970.
        mdns: whether it uses mDNS.
        peers: peers that were given by their address.
        callback_errors: callbacks that have raised.
        publishers: its publishers.
        subscribers: its subscribers.
        reply_servers: its reply servers.
        request_clients: its request clients.
        respondents: its respondents.
        surveyors: its surveyors.
        streams: its streams.
        consumers: its consumers.
        known: the sockets that it knows in its realm, its own included.
        ignored: mDNS records it does not understand: name and reason.
        other_realms: the number of sockets of other realms that it knows.
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
    streams: list[StreamDescription] = []
    consumers: list[ConsumerDescription] = []
    known: list[KnownSocket] = []
    ignored: dict[str, str] = {}
    other_realms: int = 0

    @property
    def parts(self) -> list[PartDescription]:
        """All parts."""
        return [*self.bound, *self.connecting]

    @property
    def connecting(self) -> list[SubscriberDescription | RequestClientDescription | ConsumerDescription]:
        """Parts that connect to sockets of others."""
        return [*self.subscribers, *self.request_clients, *self.surveyors, *self.consumers]

    @property
    def bound(self) -> list[PublisherDescription | ReplyServerDescription | StreamDescription]:
        """Sockets that others connect to."""
        return [*self.publishers, *self.reply_servers, *self.respondents, *self.streams]

    def add(self, part: PartDescription) -> None:
        """Add a part to the list that its tag names."""
        getattr(self, part.tag).append(part)


def to_plain(description: NodeDescription) -> Any:
    """Return the description as dictionaries, lists, numbers and text, for JSON."""
    return msgspec.to_builtins(description)


def from_plain(data: Any) -> NodeDescription:
    """Read and check the description of another node.

    Raises:
        DecodeError: if it is not a valid description; names the field.
    """
    try:
        description = msgspec.convert(data, NodeDescription)
        check_name(description.name)
        check_realm(description.realm)
        for known in description.known:
            _check_known(known)
        for part in description.parts:
            part.check()
    except (msgspec.ValidationError, ValueError) as error:
        raise DecodeError(f"not a description of a node: {error}") from error
    return description


def _check_known(known: KnownSocket) -> None:
    check_topic(known.topic)
    check_realm(known.realm)
    for address in known.addresses:
        ipaddress.ip_address(address)
