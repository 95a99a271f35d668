"""Checks of topics: the pairs that do not communicate, and the sides without a counterpart."""

import difflib
from collections.abc import Iterator

from colugo.diagnosis.facts import Facts
from colugo.diagnosis.finding import Finding, Level
from colugo.diagnosis.number_formats import count, some
from colugo.diagnosis.pairs import (
    OFFERS,
    PUBLISH,
    STREAM,
    WANTS,
    Offer,
    Want,
    offers,
    pairs,
    want_name,
    wants,
)
from colugo.diagnosis.verdicts import verdict
from colugo.protocol.topics import is_pattern

_SIMILAR = 0.75
_UNREAD_ADVICE = {
    PUBLISH: "fine if none is needed now; else start one, and see `colugo why TOPIC`",
    STREAM: "its messages are kept until there is one: start one, and see `colugo why TOPIC`",
}


def connections(facts: Facts) -> Iterator[Finding]:
    """Check that the pairs are connected, use the same codec and lose no messages."""
    verdicts = [verdict(facts, offer, want) for offer, want in pairs(offers(facts), wants(facts))]
    good = sum(one.level is Level.OK for one in verdicts)
    if good:
        are, lose = ("is", "loses") if good == 1 else ("are", "lose")
        text = f"{count(good, 'pair')} {are} connected and {lose} no messages"
        yield Finding(Level.OK, "topics", text)
    yield from (one for one in verdicts if one.level is not Level.OK)


def unmatched(facts: Facts) -> Iterator[Finding]:
    """Report the sides without a counterpart in their realm."""
    all_offers, all_wants = offers(facts), wants(facts)
    paired = list(pairs(all_offers, all_wants))
    matched = {id(one) for pair in paired for one in pair}
    for want in all_wants:
        if id(want) not in matched and is_reported(facts, want, all_offers):
            yield unmatched_want(facts, want, all_offers)
    unread: dict[tuple[str, str], list[Offer]] = {}
    for offer in all_offers:
        expected = offer.kind in _UNREAD_ADVICE and facts.covers(offer.socket.realm)
        if expected and id(offer) not in matched and not offer.readers:
            unread.setdefault((offer.socket.realm, offer.kind), []).append(offer)
    for (realm, kind), some_offers in unread.items():
        yield _unread(facts, realm, kind, some_offers, all_wants)


def is_reported(facts: Facts, want: Want, all_offers: list[Offer]) -> bool:
    """Return True if an unmatched side is reported: in other realms, only if this one has a counterpart."""
    if want.given:
        return False
    return facts.covers(want.node.realm) or any(
        one.kind == want.kind and want.fits(one.socket.topic) and facts.covers(one.socket.realm)
        for one in all_offers
    )


def unmatched_want(facts: Facts, want: Want, all_offers: list[Offer]) -> Finding:
    """Explain why a connecting side has no counterpart in its realm."""
    name = want_name(facts, want)
    noun = OFFERS[want.kind]
    elsewhere = [one for one in all_offers if one.kind == want.kind and want.fits(one.socket.topic)]
    check = want.part.topic
    if elsewhere:
        where = some(
            f"node {facts.label(one.socket.node_id)} in realm {one.socket.realm}" for one in elsewhere
        )
        text = f"{name} is in realm {want.node.realm}, but the {noun} is on {where}"
        level = Level.WRONG if facts.covers(want.node.realm) else Level.WARNING
        return Finding(level, check, text, "set the same COLUGO_REALM (or realm=) for both")
    swapped = [one for one in all_offers if one.kind != want.kind and want.fits(one.socket.topic)]
    if swapped:
        other = swapped[0].kind
        node = facts.label(swapped[0].socket.node_id)
        text = f"{name} has no {noun}: node {node} has a {OFFERS[other]} of that topic"
        return Finding(
            Level.WRONG, check, text, f"use a {WANTS[other]} instead, or add a {noun} of the topic"
        )
    text = f"{name} has no {noun}"
    similar = similar_topics(
        want.part.topic, [one.socket.topic for one in all_offers if one.kind == want.kind]
    )
    if similar:
        return Finding(
            Level.WARNING, check, f"{text}; there is {some(similar)}", "is one of the topics misspelled?"
        )
    advice = f"start its {noun}; if it runs on another machine, it may be in scope host or out of reach: run "
    return Finding(Level.WARNING, check, text, f"{advice}`colugo doctor` there")


def _unread(facts: Facts, realm: str, kind: str, unread: list[Offer], all_wants: list[Want]) -> Finding:
    topics = some(f"{one.socket.topic} of node {facts.label(one.socket.node_id)}" for one in unread)
    text = f"no {WANTS[kind]} in realm {realm} for {topics}"
    others = [
        one for one in all_wants if any(one.fits(offer.socket.topic) for offer in unread) and one.kind == kind
    ]
    if others:
        text += f"; there is one in realm {some(sorted({one.node.realm for one in others}))}"
    return Finding(Level.WARNING, "topics", text, _UNREAD_ADVICE[kind])


def similar_topics(topic: str, topics: list[str]) -> list[str]:
    """List the topics that are nearly equal to one, the nearest first."""
    if is_pattern(topic):
        return []
    others = sorted(set(topics) - {topic})
    lower = {one.lower().replace("/", "."): one for one in others}
    found = difflib.get_close_matches(topic.lower().replace("/", "."), list(lower), cutoff=_SIMILAR)
    return [lower[one] for one in found]
