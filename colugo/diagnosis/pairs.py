"""The bound and connecting sides of topics, and the pairs they form."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from colugo.diagnosis.facts import Facts
from colugo.protocol.description.node_description import KnownSocket, NodeDescription
from colugo.protocol.description.socket_descriptions import (
    LinkDescription,
    PublisherDescription,
    ReplyServerDescription,
    RequestClientDescription,
    SubscriberDescription,
)
from colugo.protocol.description.stream_descriptions import ConsumerDescription, StreamDescription
from colugo.protocol.topics import TopicPattern, is_pattern

PUBLISH = "pub"
REPLY = "rep"
RESPOND = "survey"
STREAM = "stream"
OFFERS = {PUBLISH: "publisher", REPLY: "reply server", RESPOND: "respondent", STREAM: "stream"}
WANTS = {PUBLISH: "subscriber", REPLY: "request client", RESPOND: "surveyor", STREAM: "consumer"}
OFFER_VERBS = {PUBLISH: "publishes", REPLY: "answers", RESPOND: "answers", STREAM: "sends"}

Bound = PublisherDescription | ReplyServerDescription | StreamDescription


@dataclass(frozen=True, slots=True)
class Offer:
    """A bound side: a publisher, reply server, respondent or stream.

    Attributes:
        kind: the kind of socket, as in the TXT record.
        part: its description; None if its node does not answer.
    """

    kind: str
    socket: KnownSocket
    part: Bound | None = None

    @property
    def codec(self) -> str:
        """The codec's name, cut if only the advertisement is known."""
        return self.part.codec if self.part is not None else self.socket.codec

    @property
    def readers(self) -> int:
        """The number of connected subscribers or consumers, if its node reports it."""
        match self.part:
            case PublisherDescription() as publisher:
                return publisher.subscribers
            case StreamDescription() as stream:
                return stream.members
        return 0


@dataclass(frozen=True, slots=True)
class Want:
    """A connecting side: a subscriber, request client, surveyor or consumer; `kind` is that of the other."""

    kind: str
    node: NodeDescription
    part: SubscriberDescription | RequestClientDescription | ConsumerDescription

    def fits(self, topic: str) -> bool:
        """Return True if its topic or pattern matches a topic."""
        wanted = self.part.topic
        if self.kind == PUBLISH and is_pattern(wanted):
            return TopicPattern(wanted).matches(topic)
        return wanted == topic

    def link_to(self, offer: Offer) -> LinkDescription | None:
        """Return its connection, or connection attempt, to an offer."""
        links = [link for link in self.part.links if link.socket_id == offer.socket.socket_id]
        return next((link for link in links if link.connected), links[0] if links else None)

    @property
    def given(self) -> list[LinkDescription]:
        """Its connections to plain ZeroMQ sockets, given by address with `connect=`."""
        return [link for link in self.part.links if not link.topic]


class Sides(NamedTuple):
    """The names of both sides, such as `node a` and `node b's subscriber of lab.t`, and their topic."""

    offering: str
    wanting: str
    check: str


def want_name(facts: Facts, want: Want) -> str:
    """Name a connecting side; a consumer with its group, since a node may have several."""
    text = f"node {facts.label(want.node.uuid)}'s {WANTS[want.kind]} of {want.part.topic}"
    group = getattr(want.part, "group", "")
    return f"{text} (group {group})" if group else text


def offers(facts: Facts) -> list[Offer]:
    """List all bound sides, including those of nodes that do not answer."""
    parts: dict[str, Bound] = {part.socket_id: part for node in facts.nodes.values() for part in node.bound}
    return [
        Offer(one.kind, one, parts.get(one.socket_id)) for one in facts.sockets.values() if one.kind in OFFERS
    ]


def wants(facts: Facts) -> list[Want]:
    """List all connecting sides of the nodes that answer."""
    return [
        Want(kind, node, part)
        for node in facts.nodes.values()
        for kind, parts in (
            (PUBLISH, node.subscribers),
            (REPLY, node.request_clients),
            (RESPOND, node.surveyors),
            (STREAM, node.consumers),
        )
        for part in parts
    ]


def pairs(all_offers: list[Offer], all_wants: list[Want]) -> Iterator[tuple[Offer, Want]]:
    """Pair offers and wants of the same realm, kind and topic."""
    for want in all_wants:
        for offer in all_offers:
            same = offer.kind == want.kind and offer.socket.realm == want.node.realm
            if same and want.fits(offer.socket.topic):
                yield offer, want


def sides(facts: Facts, offer: Offer, want: Want) -> Sides:
    """Name both sides of a pair."""
    offering = f"node {facts.label(offer.socket.node_id)}"
    return Sides(offering, want_name(facts, want), offer.socket.topic)
