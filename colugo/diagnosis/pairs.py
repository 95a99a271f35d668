"""Who offers a topic, who wants it, and which of them belong together."""

from collections.abc import Iterator
from dataclasses import dataclass

from colugo.diagnosis.facts import Facts
from colugo.protocol.description import (
    KnownSocket,
    LinkDescription,
    NodeDescription,
    PublisherDescription,
    ReplyServerDescription,
    RequestClientDescription,
    SubscriberDescription,
)
from colugo.protocol.topics import Pattern, is_pattern

PUBLISH = "pub"
REPLY = "rep"
RESPOND = "survey"
OFFERS = {PUBLISH: "publisher", REPLY: "reply server", RESPOND: "respondent"}
WANTS = {PUBLISH: "subscriber", REPLY: "request client", RESPOND: "surveyor"}
OFFER_VERBS = {PUBLISH: "publishes", REPLY: "answers", RESPOND: "answers"}


@dataclass(frozen=True, slots=True)
class Offer:
    """A publisher, reply server or respondent.

    Attributes:
        kind: which of them, as in the TXT record.
        socket: as it is advertised.
        part: what its node says of it; None if that does not answer.
    """

    kind: str
    socket: KnownSocket
    part: PublisherDescription | ReplyServerDescription | None = None

    @property
    def codec(self) -> str:
        """The codec's name, cut if it is only known by the advertisement."""
        return self.part.codec if self.part is not None else self.socket.codec


@dataclass(frozen=True, slots=True)
class Want:
    """A subscriber, request client or surveyor.

    Attributes:
        kind: of what it wants.
        node: its node.
        part: what that says of it.
    """

    kind: str
    node: NodeDescription
    part: SubscriberDescription | RequestClientDescription

    def fits(self, topic: str) -> bool:
        """Whether it wants this topic."""
        wanted = self.part.topic
        return Pattern(wanted).matches(topic) if self._is_pattern else wanted == topic

    @property
    def _is_pattern(self) -> bool:
        return self.kind == PUBLISH and is_pattern(self.part.topic)

    def link_to(self, offer: Offer) -> LinkDescription | None:
        """Its connection to an offer, or the attempt at one."""
        links = [link for link in self.part.links if link.socket_id == offer.socket.socket_id]
        return next((link for link in links if link.connected), links[0] if links else None)

    @property
    def given(self) -> list[LinkDescription]:
        """Its connections to plain ZeroMQ sockets that were given by their address."""
        return [link for link in self.part.links if not link.topic]


def offers(facts: Facts) -> list[Offer]:
    """All of them, those of nodes that do not answer included."""
    parts: dict[str, PublisherDescription | ReplyServerDescription] = {
        part.socket_id: part for node in facts.nodes.values() for part in node.bound
    }
    return [
        Offer(one.kind, one, parts.get(one.socket_id)) for one in facts.sockets.values() if one.kind in OFFERS
    ]


def wants(facts: Facts) -> list[Want]:
    """All of them, of the nodes that answer."""
    return [
        Want(kind, node, part)
        for node in facts.nodes.values()
        for kind, parts in (
            (PUBLISH, node.subscribers),
            (REPLY, node.request_clients),
            (RESPOND, node.surveyors),
        )
        for part in parts
    ]


def pairs(all_offers: list[Offer], all_wants: list[Want]) -> Iterator[tuple[Offer, Want]]:
    """Those of one realm, kind and topic."""
    for want in all_wants:
        for offer in all_offers:
            same = offer.kind == want.kind and offer.socket.realm == want.node.realm
            if same and want.fits(offer.socket.topic):
                yield offer, want
