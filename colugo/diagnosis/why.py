"""All checks of `colugo why`: a verdict on each pair of a topic, and the sides without a counterpart."""

from collections.abc import Iterator

from colugo.diagnosis import agreement, counters, network_checks
from colugo.diagnosis.facts import Facts
from colugo.diagnosis.finding import Finding, Level, worst
from colugo.diagnosis.number_formats import count, some
from colugo.diagnosis.pairs import OFFERS, PUBLISH, WANTS, Offer, Want, offers, pairs, want_name, wants
from colugo.diagnosis.topic_checks import is_reported, similar_topics, unmatched_want
from colugo.diagnosis.verdicts import verdict
from colugo.protocol.description.stream_descriptions import StreamDescription
from colugo.protocol.topics import TopicPattern, is_pattern

_SURROUNDINGS = (
    network_checks.multicast,
    network_checks.direct_hosts,
    network_checks.port,
    agreement.records,
)


def explain(facts: Facts, topic: str) -> list[Finding]:
    """Return a verdict on each pair of a topic in the realm in force, and on sides without a counterpart.

    Raises:
        TopicError: if it is neither a topic nor a pattern of topics.
    """
    pattern = TopicPattern(topic)
    all_offers, all_wants = offers(facts), wants(facts)
    offered = [one for one in all_offers if pattern.matches(one.socket.topic)]
    wanted = [one for one in all_wants if _concerns(one, topic, pattern, offered)]
    findings = list(_findings(facts, offered, wanted, all_offers))
    if not findings:
        findings.append(_elsewhere(facts, topic, offered, wanted) or _nothing(topic, all_offers, all_wants))
    findings += _unseen(facts.own_realm, topic)
    if worst(findings) is not Level.OK:
        # a problem of the machine or network can keep a side from being discovered at all
        findings += [one for check in _SURROUNDINGS for one in check(facts) if one.level is not Level.OK]
    return findings


def _concerns(want: Want, topic: str, pattern: TopicPattern, offered: list[Offer]) -> bool:
    if want.part.topic == topic or (not is_pattern(topic) and want.fits(topic)):
        return True
    return pattern.matches(want.part.topic) or any(
        one.kind == want.kind and want.fits(one.socket.topic) for one in offered
    )


def _findings(
    facts: Facts, offered: list[Offer], wanted: list[Want], all_offers: list[Offer]
) -> Iterator[Finding]:
    everywhere = list(pairs(offered, wanted))
    paired = [pair for pair in everywhere if facts.covers(pair[0].socket.realm)]
    for offer, want in paired:
        yield verdict(facts, offer, want)
    matched = {id(one) for pair in everywhere for one in pair}
    for want in wanted:
        for link in want.given if facts.covers(want.node.realm) else ():
            yield _given(facts, want, link.endpoint, connected=link.connected)
        if id(want) not in matched and is_reported(facts, want, all_offers):
            yield unmatched_want(facts, want, all_offers)
    for offer in offered:
        if id(offer) not in matched and facts.covers(offer.socket.realm):
            yield _unmatched_offer(facts, offer, wanted)
    for offer in offered:
        if isinstance(offer.part, StreamDescription) and facts.covers(offer.socket.realm):
            yield from counters.kept(facts.label(offer.socket.node_id), offer.part)
    for kind in OFFERS:
        yield from _unknown_readers(facts, kind, [one for one in paired if one[0].kind == kind])


def _given(facts: Facts, want: Want, endpoint: str, *, connected: bool) -> Finding:
    name = want_name(facts, want)
    if connected:
        return Finding(
            Level.OK, want.part.topic, f"{name}: connected to the plain ZeroMQ socket at {endpoint}"
        )
    text = f"{name} is not connected to {endpoint}, given with connect="
    return Finding(Level.WRONG, want.part.topic, text, "start the program there, or correct the address")


def _unmatched_offer(facts: Facts, offer: Offer, wanted: list[Want]) -> Finding:
    noun = WANTS[offer.kind]
    name = f"node {facts.label(offer.socket.node_id)}'s {OFFERS[offer.kind]} of {offer.socket.topic}"
    text = f"{name} has no {noun} in realm {offer.socket.realm}"
    others = [one for one in wanted if one.kind == offer.kind and one.node.realm != offer.socket.realm]
    if offer.readers:
        text = f"{name} has {count(offer.readers, noun)} on nodes not discovered from here"
        return Finding(Level.OK, offer.socket.topic, text)
    if others:
        where = some(f"node {facts.label(one.node.uuid)} in realm {one.node.realm}" for one in others)
        return Finding(
            Level.WRONG, offer.socket.topic, f"{text}; there is {where}", "set the same COLUGO_REALM for both"
        )
    advice = (
        f"start a {noun}; if one runs on another machine, run `colugo doctor` there: it may be in scope host"
    )
    return Finding(Level.WARNING, offer.socket.topic, text, advice)


def _unknown_readers(facts: Facts, kind: str, paired: list[tuple[Offer, Want]]) -> Iterator[Finding]:
    """Report the subscribers of a publisher whose nodes are not discovered."""
    if kind != PUBLISH:
        return
    for offer in {one.socket.socket_id: one for one, _ in paired}.values():
        readers = {reader.reader for reader in getattr(offer.part, "readers", ())}
        readers -= {getattr(want.part, "reader", "") for _, want in paired}
        if readers:
            more = count(len(readers), "more subscriber")
            text = f"node {facts.label(offer.socket.node_id)} has {more} on nodes not discovered from here"
            yield Finding(Level.OK, offer.socket.topic, text)


def _elsewhere(facts: Facts, topic: str, offered: list[Offer], wanted: list[Want]) -> Finding | None:
    """Report that only other realms have the topic, if so."""
    realms = sorted({one.socket.realm for one in offered} | {one.node.realm for one in wanted})
    if not realms:
        return None
    text = f"no node in realm {facts.realm} uses {topic}; it is in realm {some(realms)}"
    return Finding(
        Level.WRONG, topic, text, f"set COLUGO_REALM, or run `colugo why {topic} --realm {realms[0]}`"
    )


def _nothing(topic: str, all_offers: list[Offer], all_wants: list[Want]) -> Finding:
    topics = [one.socket.topic for one in all_offers] + [one.part.topic for one in all_wants]
    similar = similar_topics(topic, topics)
    text = f"no node uses {topic}"
    if similar:
        return Finding(
            Level.WRONG, topic, f"{text}; there is {some(similar)}", f"try `colugo why {similar[0]}`"
        )
    if topics:
        return Finding(
            Level.WRONG, topic, f"{text}; known topics: {some(sorted(topics))}", "check the spelling"
        )
    return Finding(Level.WRONG, topic, f"{text}: no nodes found", "run `colugo doctor`")


def _unseen(facts: Facts, topic: str) -> Iterator[Finding]:
    if facts.silent:
        names = some(f"{facts.label(uuid)} ({why})" for uuid, why in facts.silent.items())
        text = f"no answer from {names}: its subscribers, consumers and request clients are unknown"
        yield Finding(Level.WARNING, topic, text, "run `colugo doctor`")
