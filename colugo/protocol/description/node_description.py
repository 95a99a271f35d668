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
        kind: its kind, as in the TXT record.
        node: name of its node.
        codec: the codec's name, cut to the TXT record's 32 bytes.
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
    """A peer that was given by its address; its state is `linked`, `not linked`, or `this node itself`."""

    address: str
    state: str

    @property
    def linked(self) -> bool:
        """True if the nodes exchange what they know over it."""
        return self.state != "not linked"


class NodeDescription(msgspec.Struct):
    """A node and all that is on it.

    Attributes:
        scope: its scope, as it was given.
        wire_version: its version of the wire format.
        host_id: the same for nodes that share a network and its files.
        time_ns: its wall clock, nanoseconds since 1970.
        peers: peers that were given by their address.
        callback_errors: callbacks that have raised.
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
    """Read and check the description of another node; raise a `DecodeError` that names the invalid field."""
    try:
        description = msgspec.convert(data, NodeDescription)
        check_name(description.name)
        check_realm(description.realm)
        for known in description.known:
            check_topic(known.topic)
            check_realm(known.realm)
            for address in known.addresses:
                ipaddress.ip_address(address)
        for part in description.parts:
            part.check()
    except (msgspec.ValidationError, ValueError) as error:
        raise DecodeError(f"not a description of a node: {error}") from error
    return description
