"""Why two sides of a topic do not talk, or that they do: one verdict a pair."""

from collections.abc import Iterator

from colugo.diagnosis import agreement, stream_checks, surroundings
from colugo.diagnosis.facts import Facts
from colugo.diagnosis.finding import Finding, Level, worst
from colugo.diagnosis.pairs import OFFERS, PUBLISH, WANTS, Offer, Want, offers, pairs, wants, who_wants
from colugo.diagnosis.topic_checks import close, concerns, lonely_want
from colugo.diagnosis.verdicts import verdict
from colugo.diagnosis.wording import count, some
from colugo.protocol.description.stream_descriptions import StreamDescription
from colugo.protocol.topics import TopicPattern, is_pattern

_DOES = "publishes, streams, answers, subscribes to, consumes or requests"
_AROUND = (surroundings.multicast, surroundings.direct_hosts, surroundings.port, agreement.records)


def explain(facts: Facts, topic: str) -> list[Finding]:
    """One verdict for each pair of a topic in the realm in force, and what keeps others from being one.

    Args:
        facts: what was gathered.
        topic: a topic, or a pattern of topics.

    Raises:
        TopicError: if it is neither.
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
        # what keeps sides of it from being heard at all
        findings += [one for check in _AROUND for one in check(facts) if one.level is not Level.OK]
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
    paired = [pair for pair in everywhere if facts.speaks_of(pair[0].socket.realm)]
    for offer, want in paired:
        yield verdict(facts, offer, want)
    met = {id(one) for pair in everywhere for one in pair}
    for want in wanted:
        for link in want.given if facts.speaks_of(want.node.realm) else ():
            yield _given(facts, want, link.endpoint, connected=link.connected)
        if id(want) not in met and concerns(facts, want, all_offers):
            yield lonely_want(facts, want, all_offers)
    for offer in offered:
        if id(offer) not in met and facts.speaks_of(offer.socket.realm):
            yield _lonely_offer(facts, offer, wanted)
    for offer in offered:
        if isinstance(offer.part, StreamDescription) and facts.speaks_of(offer.socket.realm):
            yield from stream_checks.kept(facts.label(offer.socket.node_id), offer.part)
    for kind in OFFERS:
        yield from _strangers(facts, kind, [one for one in paired if one[0].kind == kind])


def _given(facts: Facts, want: Want, endpoint: str, *, connected: bool) -> Finding:
    who = who_wants(facts, want)
    if connected:
        return Finding(
            Level.OK, want.part.topic, f"{who}: connected to the plain ZeroMQ socket at {endpoint}"
        )
    text = f"{who} is not connected to {endpoint}, which it was given by connect="
    return Finding(Level.WRONG, want.part.topic, text, "start what listens there, or correct the address")


def _lonely_offer(facts: Facts, offer: Offer, wanted: list[Want]) -> Finding:
    noun = WANTS[offer.kind]
    who = f"node {facts.label(offer.socket.node_id)}'s {OFFERS[offer.kind]} of {offer.socket.topic}"
    text = f"{who} has no {noun} in realm {offer.socket.realm}"
    others = [one for one in wanted if one.kind == offer.kind and one.node.realm != offer.socket.realm]
    if offer.readers:
        text = f"{who} has {count(offer.readers, noun)} of which nothing else is known"
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


def _strangers(facts: Facts, kind: str, paired: list[tuple[Offer, Want]]) -> Iterator[Finding]:
    """Readers that a publisher has and whose nodes are not seen."""
    if kind != PUBLISH:
        return
    for offer in {one.socket.socket_id: one for one, _ in paired}.values():
        readers = {reader.reader for reader in getattr(offer.part, "readers", ())}
        readers -= {getattr(want.part, "reader", "") for _, want in paired}
        if readers:
            more = count(len(readers), "more subscriber")
            text = (
                f"node {facts.label(offer.socket.node_id)} has {more} of nodes that are not heard from here"
            )
            yield Finding(Level.OK, offer.socket.topic, text)


def _elsewhere(facts: Facts, topic: str, offered: list[Offer], wanted: list[Want]) -> Finding | None:
    """That only other realms have the topic."""
    realms = sorted({one.socket.realm for one in offered} | {one.node.realm for one in wanted})
    if not realms:
        return None
    text = f"nobody in realm {facts.realm} {_DOES} {topic}; it is in realm {some(realms)}"
    return Finding(
        Level.WRONG, topic, text, f"set COLUGO_REALM, or see `colugo why {topic} --realm {realms[0]}`"
    )


def _nothing(topic: str, all_offers: list[Offer], all_wants: list[Want]) -> Finding:
    topics = [one.socket.topic for one in all_offers] + [one.part.topic for one in all_wants]
    similar = close(topic, topics)
    text = f"nobody {_DOES} {topic}"
    if similar:
        return Finding(
            Level.WRONG, topic, f"{text}; there is {some(similar)}", f"try `colugo why {similar[0]}`"
        )
    if topics:
        return Finding(
            Level.WRONG, topic, f"{text}; topics that are there: {some(sorted(topics))}", "check its name"
        )
    return Finding(Level.WRONG, topic, f"{text}: no node is heard", "run `colugo doctor`")


def _unseen(facts: Facts, topic: str) -> Iterator[Finding]:
    if facts.silent:
        names = some(f"{facts.label(uuid)} ({why})" for uuid, why in facts.silent.items())
        text = f"no answer from {names}: what there is subscribed to, consumed and requested is unknown"
        yield Finding(Level.WARNING, topic, text, "run `colugo doctor`")
