"""The verdict on a pair: the first problem between its two sides, or none."""

from enum import Enum

from colugo.diagnosis.counters import deliveries
from colugo.diagnosis.facts import Facts, Reach, is_loopback
from colugo.diagnosis.finding import Finding, Level
from colugo.diagnosis.number_formats import count, duration
from colugo.diagnosis.pairs import OFFER_VERBS, OFFERS, Offer, Sides, Want, sides
from colugo.diagnosis.reach import outcomes_of
from colugo.protocol.advertisement import MAX_LABEL_BYTES, cut_codec
from colugo.protocol.description.socket_descriptions import (
    LinkDescription,
    PublisherDescription,
    ReaderDescription,
    ReplyServerDescription,
    RequestClientDescription,
    SubscriberDescription,
)
from colugo.protocol.description.stream_descriptions import ConsumerDescription

_GRACE_MS = 3000
"""A younger connection attempt is not a failure yet."""
_STALLED_MS = 1000
_PLAIN = "plain"


class Fit(Enum):
    """The compatibility of two codecs.

    SAME: equal. LOOSE: one side does not check the type, or does not decode at all. OTHER_TYPE: the same
    serialization with different types. NOT: different serializations.
    """

    SAME = "same"
    LOOSE = "loose"
    OTHER_TYPE = "other type"
    NOT = "not"


def fit(offered: str, wanted: str, *, cut: bool) -> Fit:
    """Compare the codecs of the bound and the connecting side, by their names.

    `cut` is True if the first name comes from an advertisement, which cuts it to 32 bytes.
    """
    if cut and len(offered.encode()) >= MAX_LABEL_BYTES - 1:
        wanted = cut_codec(wanted)
    if offered == wanted:
        return Fit.SAME
    if _PLAIN in (offered, wanted):
        return Fit.LOOSE
    one, _, one_type = offered.partition(" ")
    other, _, other_type = wanted.partition(" ")
    if one != other:
        return Fit.NOT
    return Fit.OTHER_TYPE if one_type and other_type else Fit.LOOSE


def verdict(facts: Facts, offer: Offer, want: Want) -> Finding:
    """Return the first problem between the two sides of a pair, or that there is none."""
    names = sides(facts, offer, want)
    link = want.link_to(offer)
    return (
        _not_linked(facts, offer, want, names)
        if link is None
        else _codecs(offer, want, names, link)
        or _not_connected(facts, offer, names, link)
        or _losses(offer, want, names, link)
    )


def _codecs(offer: Offer, want: Want, names: Sides, link: LinkDescription) -> Finding | None:
    how = fit(offer.codec, want.part.codec, cut=offer.part is None)
    refused = _undecodable(offer, want, link)
    if refused:
        text = f"{names.wanting} expects {want.part.codec}, {_offers(offer, names)}: "
        text += f"{count(refused, 'message')} did not decode"
        error = f" ({link.last_error})" if link.last_error else ""
        return Finding(Level.WRONG, names.check, text + error, "use the same codec= on both sides")
    if how in (Fit.SAME, Fit.LOOSE) or _decodes(want, link):
        return None
    text = f"{names.wanting} expects {want.part.codec}, {_offers(offer, names)}"
    if how is Fit.OTHER_TYPE:
        advice = "nothing has failed yet; use the same type on both sides, or types with the same fields"
        return Finding(Level.WARNING, names.check, text, advice)
    return Finding(Level.WRONG, names.check, text, "use the same codec= on both sides")


def _offers(offer: Offer, names: Sides) -> str:
    return f"{names.offering} {OFFER_VERBS[offer.kind]} {offer.codec}"


def _undecodable(offer: Offer, want: Want, link: LinkDescription) -> int:
    if not isinstance(want.part, RequestClientDescription):
        return link.undecodable
    # servers count undecodable requests without their client; undecodable replies are not counted at all
    different = offer.codec != want.part.codec
    server = offer.part
    return server.undecodable if isinstance(server, ReplyServerDescription) and different else 0


def _decodes(want: Want, link: LinkDescription) -> bool:
    """Return True if the link has delivered messages; the caller has seen that all decoded."""
    return bool(link.received) and not isinstance(want.part, RequestClientDescription)


def _not_linked(facts: Facts, offer: Offer, want: Want, names: Sides) -> Finding:
    text = f"{names.wanting} has not discovered {names.offering}'s {OFFERS[offer.kind]}"
    known = any(one.socket_id == offer.socket.socket_id for one in want.node.known)
    if known:
        text = f"{names.wanting} knows {names.offering}'s {OFFERS[offer.kind]}, but no address of it answers"
        return _unreached(facts, offer, names, text)
    there, here = _is_host_only(facts, offer), all(map(is_loopback, want.node.addresses))
    if there and not here:
        node, other = names.offering, f"node {facts.label(want.node.uuid)}"
    elif here and not there:
        node, other = f"node {facts.label(want.node.uuid)}", names.offering
    else:
        advice = "multicast does not get through between their hosts: run `colugo doctor` on both, or use "
        advice += "COLUGO_PEERS"
        return Finding(Level.WRONG, names.check, text, advice)
    text += f": {node} is in scope host (this machine only), {other} is not"
    return Finding(Level.WRONG, names.check, text, f"start {node} without COLUGO_SCOPE=host, or both with it")


def _is_host_only(facts: Facts, offer: Offer) -> bool:
    return all(map(is_loopback, facts.addresses_of(offer.socket.node_id)))


def _not_connected(facts: Facts, offer: Offer, names: Sides, link: LinkDescription) -> Finding | None:
    if link.connected:
        return None
    text = f"{names.wanting} is not connected to {names.offering}: it has been trying {link.endpoint} "
    text += f"for {duration(link.since_ms)}"
    if link.since_ms < _GRACE_MS:
        return Finding(Level.WARNING, names.check, text, "it has just started: check again in a few seconds")
    return _unreached(facts, offer, names, text)


def _unreached(facts: Facts, offer: Offer, names: Sides, text: str) -> Finding:
    """Explain a failed connection by the outcome of connecting from this machine."""
    found = set(outcomes_of(facts, offer.socket).values())
    if Reach.OPEN in found:
        advice = "this machine can reach it: check the firewall and addresses of the machine that connects"
    elif Reach.REFUSED in found:
        text += "; nothing listens there"
        advice = "the record is stale because its program was killed: restart it"
    elif Reach.SILENT in found:
        text += "; packets are dropped"
        port = offer.socket.port
        advice = f"a firewall drops TCP port {port}: open it, or fix the port with port= and open that"
    elif found:
        text += "; no machine has that address"
        advice = "the address is dead: restart the program there, or choose its interfaces with COLUGO_SCOPE"
    else:
        advice = "run `colugo doctor` on the machine that connects"
    return Finding(Level.WRONG, names.check, text, advice)


def _losses(offer: Offer, want: Want, names: Sides, link: LinkDescription) -> Finding:
    if isinstance(want.part, RequestClientDescription):
        return _answers(want.part, names)
    if isinstance(want.part, ConsumerDescription):
        return deliveries(want.part, names)
    reader = _reader(offer, want)
    only = len(want.part.links) == 1
    dropped = want.part.dropped if only else 0
    lost = link.lost + dropped
    total = link.received + link.lost
    full = bool(want.part.queue_limit) and want.part.queue >= want.part.queue_limit
    behind = reader is not None and reader.behind
    node = names.wanting.partition("'s ")[0]
    if not lost and not behind:
        text = f"{names.offering} → {names.wanting}: connected, {count(total, 'message')}, none lost"
        stalled = _stalled(offer, reader)
        if stalled:
            advice = (
                "its callback is slow or blocks its loop: see its log, and use executor=True or a coroutine"
            )
            return Finding(Level.WARNING, names.check, f"{text}, but {node} {stalled}", advice)
        return Finding(Level.OK, names.check, text)
    text = f"{names.offering} → {names.wanting}: connected, {lost:,} of {count(total, 'message')} lost"
    if dropped:
        text += (
            f": {node}'s queue {'is' if full else 'was'} full (slow callback; "
            f"{want.part.queue:,} of at most {want.part.queue_limit:,} queued)"
        )
        advice = "make the callback faster, use executor=True or batch=True, or let the publisher wait "
        advice += '(flow="wait")'
    elif behind and reader is not None:
        text += f": {node} is behind, and {count(reader.skipped, 'message')} so far were not sent to it"
        advice = "it handles messages too slowly: see its log for callbacks that block the loop, raise "
        advice += 'hwm=, or use flow="wait"'
    else:
        text += ", some time ago"
        advice = (
            'a connection broke, or the subscriber was behind; use flow="wait" or retain= if none may be lost'
        )
    return Finding(Level.WRONG if full or behind else Level.WARNING, names.check, text, advice)


def _reader(offer: Offer, want: Want) -> ReaderDescription | None:
    if not isinstance(offer.part, PublisherDescription) or not isinstance(want.part, SubscriberDescription):
        return None
    reader = want.part.reader
    return next((one for one in offer.part.readers if one.reader == reader), None)


def _stalled(offer: Offer, reader: ReaderDescription | None) -> str:
    publisher = offer.part
    if reader is None or not isinstance(publisher, PublisherDescription):
        return ""
    if reader.unhandled and reader.quiet_ms > _STALLED_MS:
        return f"has handled nothing for {duration(reader.quiet_ms)}"
    return ""


def _answers(client: RequestClientDescription, names: Sides) -> Finding:
    failed = client.timeouts + client.lost
    text = f"{names.wanting} → {names.offering}: connected, {count(client.sent, 'request')}"
    if not failed:
        return Finding(Level.OK, names.check, f"{text}, {client.pending:,} in flight, none failed")
    text += f", of which {client.timeouts:,} were not answered in time and {client.lost:,} lost their server"
    advice = "see the log of the server: its callback may be slow or never reply; or raise timeout_ms"
    return Finding(Level.WARNING, names.check, text, advice)
