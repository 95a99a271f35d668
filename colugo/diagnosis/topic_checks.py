"""Topics that somebody offers or wants: who is alone with one, and in what the pairs fail."""

import difflib
from collections.abc import Iterator

from colugo.diagnosis.facts import Facts
from colugo.diagnosis.finding import Finding, Level
from colugo.diagnosis.pairs import (
    OFFERS,
    PUBLISH,
    STREAM,
    WANTS,
    Offer,
    Want,
    offers,
    pairs,
    wants,
    who_wants,
)
from colugo.diagnosis.verdicts import verdict
from colugo.diagnosis.wording import some
from colugo.protocol.topics import is_pattern

_SIMILAR = 0.75
_UNREAD_ADVICE = {
    PUBLISH: "fine if nobody needs it now; else start one, and see `colugo why TOPIC`",
    STREAM: "what is sent is kept until there is one: start it, and see `colugo why TOPIC`",
}


def connections(facts: Facts) -> Iterator[Finding]:
    """Those that belong together are connected, understand each other and lose nothing."""
    verdicts = [verdict(facts, offer, want) for offer, want in pairs(offers(facts), wants(facts))]
    well = sum(one.level is Level.OK for one in verdicts)
    if well:
        text = (
            "1 pair is connected and loses nothing"
            if well == 1
            else f"{well:,} pairs are connected and lose nothing"
        )
        yield Finding(Level.OK, "topics", text)
    yield from (one for one in verdicts if one.level is not Level.OK)


def alone(facts: Facts) -> Iterator[Finding]:
    """Nobody waits for what there is in no realm or another, or under another name."""
    all_offers, all_wants = offers(facts), wants(facts)
    paired = list(pairs(all_offers, all_wants))
    met = {id(one) for pair in paired for one in pair}
    for want in all_wants:
        if id(want) not in met and concerns(facts, want, all_offers):
            yield lonely_want(facts, want, all_offers)
    unread: dict[tuple[str, str], list[Offer]] = {}
    for offer in all_offers:
        if (
            id(offer) not in met
            and offer.kind in _UNREAD_ADVICE
            and not offer.readers
            and facts.speaks_of(offer.socket.realm)
        ):
            unread.setdefault((offer.socket.realm, offer.kind), []).append(offer)
    for (realm, kind), some_offers in unread.items():
        yield _unread(facts, realm, kind, some_offers, all_wants)


def concerns(facts: Facts, want: Want, all_offers: list[Offer]) -> bool:
    """Whether it is to be told of one that is alone: of another realm only if this one has what it wants."""
    if want.given:
        return False
    return facts.speaks_of(want.node.realm) or any(
        one.kind == want.kind and want.fits(one.socket.topic) and facts.speaks_of(one.socket.realm)
        for one in all_offers
    )


def lonely_want(facts: Facts, want: Want, all_offers: list[Offer]) -> Finding:
    """What to say of one that wants what nobody offers in its realm."""
    who = who_wants(facts, want)
    noun = OFFERS[want.kind]
    elsewhere = [one for one in all_offers if one.kind == want.kind and want.fits(one.socket.topic)]
    check = want.part.topic
    if elsewhere:
        where = some(
            f"node {facts.label(one.socket.node_id)} in realm {one.socket.realm}" for one in elsewhere
        )
        text = f"{who} is in realm {want.node.realm}, the {noun} is of {where}"
        level = Level.WRONG if facts.speaks_of(want.node.realm) else Level.WARNING
        return Finding(level, check, text, "set the same COLUGO_REALM (or realm=) for both")
    swapped = [one for one in all_offers if one.kind != want.kind and want.fits(one.socket.topic)]
    if swapped:
        other = swapped[0].kind
        node = facts.label(swapped[0].socket.node_id)
        text = f"{who} has no {noun}: node {node} has a {OFFERS[other]} of that topic"
        return Finding(Level.WRONG, check, text, f"pair a {WANTS[other]} with it, or give the topic a {noun}")
    text = f"{who} has no {noun}"
    similar = close(want.part.topic, [one.socket.topic for one in all_offers if one.kind == want.kind])
    if similar:
        return Finding(
            Level.WARNING, check, f"{text}; there is {some(similar)}", "is one of the topics misspelt?"
        )
    advice = (
        f"start its {noun}; if it runs on another machine, it may be in scope host, or not be heard: run "
    )
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


def close(topic: str, topics: list[str]) -> list[str]:
    """Topics that are nearly the same, the nearest first."""
    if is_pattern(topic):
        return []
    others = sorted(set(topics) - {topic})
    lower = {one.lower().replace("/", "."): one for one in others}
    found = difflib.get_close_matches(topic.lower().replace("/", "."), list(lower), cutoff=_SIMILAR)
    return [lower[one] for one in found]
