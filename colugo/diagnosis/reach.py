"""Whether what is advertised can be connected to, and what it means if not."""

from collections import defaultdict
from collections.abc import Iterator

from colugo.diagnosis.facts import Facts, Reach, is_link_local, is_loopback
from colugo.diagnosis.finding import Finding, Level
from colugo.diagnosis.pairs import OFFERS
from colugo.diagnosis.wording import count, some
from colugo.protocol.description.node_description import KnownSocket

_NOUNS = {**OFFERS, "node": "its own endpoint"}
_DEAD = (Reach.NO_HOST, Reach.UNREACHABLE)


def reachable(facts: Facts) -> Iterator[Finding]:
    """Each advertised socket has an address that answers."""
    reached = 0
    failures: defaultdict[tuple[str, Reach, bool], list[KnownSocket]] = defaultdict(list)
    for one in facts.sockets.values():
        outcomes = outcomes_of(facts, one)
        if not outcomes:
            continue
        if Reach.OPEN in outcomes.values():
            reached += 1
        elif one.socket_id in facts.heard or not _connected_elsewhere(facts, one):
            failures[one.node_id, _sort(outcomes), one.socket_id in facts.heard].append(one)
    if reached:
        noun = count(reached, "advertised socket")
        yield Finding(Level.OK, "connect", f"{noun} {'takes' if reached == 1 else 'take'} connections")
    for (node_id, reach, heard), sockets in failures.items():
        yield _failure(facts, node_id, reach, sockets, heard=heard)
    yield from _dead_addresses(facts)


def outcomes_of(facts: Facts, one: KnownSocket) -> dict[str, Reach]:
    """What came of connecting to each address of a socket that is meant for this host, and was tried."""
    return {
        address: facts.reach[address, one.port]
        for address in one.addresses
        if (address, one.port) in facts.reach
    }


def _sort(outcomes: dict[str, Reach]) -> Reach:
    """What is the matter with a socket of which no address answers."""
    found = set(outcomes.values())
    for reach in (Reach.REFUSED, Reach.SILENT, Reach.NO_HOST):
        if reach in found:
            return reach
    return Reach.UNREACHABLE


def _connected_elsewhere(facts: Facts, one: KnownSocket) -> bool:
    """Whether a node has a connection to it: then it is only out of this machine's reach."""
    return one.node_id in facts.nodes or any(
        link.socket_id == one.socket_id and link.connected
        for node in facts.nodes.values()
        for part in node.connecting
        for link in part.links
    )


def _failure(facts: Facts, node_id: str, reach: Reach, sockets: list[KnownSocket], *, heard: bool) -> Finding:
    where = (
        f"{facts.label(node_id)} ({', '.join(dict.fromkeys(a for one in sockets for a in one.addresses))})"
    )
    source = "is heard" if heard else f"is known to {some(_who_knows(facts, sockets))}"
    whats = some(_what(one) for one in sockets)
    text = f"node {where} {source}, but {whats} {_how(reach, len(sockets))}"
    if reach is Reach.REFUSED and node_id not in facts.nodes:
        text = f"stale record: {text}"
    elif reach in _DEAD:
        text = f"dead address: {text}"
    ports = ", ".join(str(port) for port in sorted({one.port for one in sockets}))
    advice = {
        Reach.REFUSED: "the program has ended without a goodbye, or something repeats its record: restart "
        "it, or whatever advertises it; a firewall that rejects looks the same",
        Reach.SILENT: f"a firewall on the way drops TCP port {ports}: open it there, or fix the ports with "
        "port= and COLUGO_PORT and open those",
        Reach.NO_HOST: "that machine has another address now, or none: restart its program, or choose its "
        "interfaces by COLUGO_SCOPE",
    }.get(reach, "this machine has no route there: choose an address to advertise by COLUGO_SCOPE over there")
    # what only others know may be in a network that is none of ours
    return Finding(Level.WRONG if heard else Level.WARNING, "connect", text, advice)


def _what(one: KnownSocket) -> str:
    noun = _NOUNS.get(one.kind, one.kind)
    return f"{noun} {one.topic} (port {one.port})" if one.kind != "node" else f"{noun} (port {one.port})"


def _how(reach: Reach, number: int) -> str:
    does, refuses = ("does", "refuses") if number == 1 else ("do", "refuse")
    return {
        Reach.REFUSED: f"{refuses} connections: nothing listens there",
        Reach.SILENT: f"{does} not answer: packets vanish",
        Reach.NO_HOST: f"{does} not answer: no machine of this network has that address",
    }.get(reach, "cannot be reached from here")


def _who_knows(facts: Facts, sockets: list[KnownSocket]) -> list[str]:
    ids = {one.socket_id for one in sockets}
    return [f"node {n.name}" for n in facts.nodes.values() if any(one.socket_id in ids for one in n.known)]


def _dead_addresses(facts: Facts) -> Iterator[Finding]:
    """Addresses of this network that do not answer, of sockets that others can connect to by another one."""
    dead: defaultdict[tuple[str, str], set[Reach]] = defaultdict(set)
    for one in facts.sockets.values():
        outcomes = outcomes_of(facts, one)
        if Reach.OPEN not in outcomes.values():
            continue
        for address, reach in outcomes.items():
            # one of another network is the business of the hosts in that; which one a link-local address
            # of IPv6 is of does not show
            near = not is_link_local(address) and any(
                i.has(address) for i in facts.interfaces if not is_loopback(i.address)
            )
            if reach is not Reach.OPEN and near:
                dead[one.node_id, address].add(reach)
    for (node_id, address), reaches in dead.items():
        how = "no machine has it" if reaches & set(_DEAD) else "connections to it fail"
        text = f"dead address: node {facts.label(node_id)} advertises {address} among others, and {how}"
        yield Finding(
            Level.WARNING,
            "connect",
            text,
            "it is found by its other addresses; COLUGO_SCOPE there chooses them",
        )


def answering(facts: Facts) -> Iterator[Finding]:
    """Each node that takes connections answers questions."""
    if facts.nodes:
        yield Finding(
            Level.OK,
            "describe",
            f"{count(len(facts.nodes), 'node')} told what they have and see"
            if len(facts.nodes) > 1
            else f"node {next(iter(facts.nodes.values())).name} told what it has and sees",
        )
    for node_id, why in facts.silent.items():
        outcomes = [found for one in facts.sockets_of(node_id) if (found := outcomes_of(facts, one))]
        if not outcomes or any(Reach.OPEN in found.values() for found in outcomes):
            yield Finding(
                Level.WARNING,
                "describe",
                f"node {facts.label(node_id)} does not say what it has: {why}",
                "a callback holds its loop, or it is of another version: look at its log",
            )
