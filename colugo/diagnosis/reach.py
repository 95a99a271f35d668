"""Checks that advertised sockets accept connections, and the meaning of each failure."""

from collections import defaultdict
from collections.abc import Iterator

from colugo.diagnosis.facts import Facts, Reach, is_link_local, is_loopback
from colugo.diagnosis.finding import Finding, Level
from colugo.diagnosis.number_formats import count, some
from colugo.diagnosis.pairs import OFFERS
from colugo.protocol.description.node_description import KnownSocket

_NOUNS = {**OFFERS, "node": "its own endpoint"}
_DEAD = (Reach.NO_HOST, Reach.UNREACHABLE)


def reachable(facts: Facts) -> Iterator[Finding]:
    """Check that each advertised socket has an address that accepts connections."""
    reached = 0
    failures: defaultdict[tuple[str, Reach, bool], list[KnownSocket]] = defaultdict(list)
    for one in facts.sockets.values():
        outcomes = outcomes_of(facts, one)
        if not outcomes:
            continue
        if Reach.OPEN in outcomes.values():
            reached += 1
        elif one.socket_id in facts.discovered or not _connected_elsewhere(facts, one):
            failures[one.node_id, _cause(outcomes), one.socket_id in facts.discovered].append(one)
    if reached:
        noun = count(reached, "advertised socket")
        yield Finding(Level.OK, "connect", f"{noun} {'accepts' if reached == 1 else 'accept'} connections")
    for (node_id, reach, discovered), sockets in failures.items():
        yield _failure(facts, node_id, reach, sockets, discovered=discovered)
    yield from _dead_addresses(facts)


def outcomes_of(facts: Facts, one: KnownSocket) -> dict[str, Reach]:
    """Return the outcome for each address of a socket that was tried."""
    reach = {address: facts.reach.get((address, one.port)) for address in one.addresses}
    return {address: outcome for address, outcome in reach.items() if outcome is not None}


def _cause(outcomes: dict[str, Reach]) -> Reach:
    """Choose the most telling outcome of a socket that is unreachable at all addresses."""
    return min(outcomes.values(), key=list(Reach).index)


def _connected_elsewhere(facts: Facts, one: KnownSocket) -> bool:
    """Return True if some node is connected to a socket: only this machine cannot reach it then."""
    return one.node_id in facts.nodes or any(
        link.socket_id == one.socket_id and link.connected
        for node in facts.nodes.values()
        for part in node.connecting
        for link in part.links
    )


def _failure(
    facts: Facts, node_id: str, reach: Reach, sockets: list[KnownSocket], *, discovered: bool
) -> Finding:
    where = (
        f"{facts.label(node_id)} ({', '.join(dict.fromkeys(a for one in sockets for a in one.addresses))})"
    )
    source = "was discovered" if discovered else f"is known to {some(_nodes_knowing(facts, sockets))}"
    nouns = some(_noun(one) for one in sockets)
    text = f"node {where} {source}, but {nouns} {_failed(reach, len(sockets))}"
    if reach is Reach.REFUSED and node_id not in facts.nodes:
        text = f"stale record: {text}"
    elif reach in _DEAD:
        text = f"dead address: {text}"
    ports = ", ".join(str(port) for port in sorted({one.port for one in sockets}))
    advice = {
        Reach.REFUSED: "the program was killed, or another program repeats its record: restart either; "
        "a firewall that rejects connections looks the same",
        Reach.SILENT: f"a firewall drops packets to TCP port {ports}: open it, or fix the ports with "
        "port= and COLUGO_PORT and open those",
        Reach.NO_HOST: "that machine has changed or lost its address: restart its program, or choose its "
        "interfaces with COLUGO_SCOPE",
    }.get(reach, "this machine has no route to it: advertise another address by setting COLUGO_SCOPE there")
    # a socket that only other nodes know may be on a network that this machine is not part of
    return Finding(Level.WRONG if discovered else Level.WARNING, "connect", text, advice)


def _noun(one: KnownSocket) -> str:
    noun = _NOUNS.get(one.kind, one.kind)
    return f"{noun} {one.topic} (port {one.port})" if one.kind != "node" else f"{noun} (port {one.port})"


def _failed(reach: Reach, number: int) -> str:
    does, refuses = ("does", "refuses") if number == 1 else ("do", "refuse")
    return {
        Reach.REFUSED: f"{refuses} connections: nothing listens there",
        Reach.SILENT: f"{does} not answer: packets are dropped",
        Reach.NO_HOST: f"{does} not answer: no machine on this network has that address",
    }.get(reach, "cannot be reached from here")


def _nodes_knowing(facts: Facts, sockets: list[KnownSocket]) -> list[str]:
    ids = {one.socket_id for one in sockets}
    return [f"node {n.name}" for n in facts.nodes.values() if any(one.socket_id in ids for one in n.known)]


def _dead_addresses(facts: Facts) -> Iterator[Finding]:
    """Report the addresses on this network that fail, of sockets that are reachable at another one."""
    dead: defaultdict[tuple[str, str], set[Reach]] = defaultdict(set)
    for one in facts.sockets.values():
        outcomes = outcomes_of(facts, one)
        if Reach.OPEN not in outcomes.values():
            continue
        for address, reach in outcomes.items():
            # an address on another network matters to the hosts there only; an IPv6 link-local address does
            # not show which network it is on
            near = not is_link_local(address) and any(
                i.has(address) for i in facts.interfaces if not is_loopback(i.address)
            )
            if reach is not Reach.OPEN and near:
                dead[one.node_id, address].add(reach)
    for (node_id, address), reaches in dead.items():
        how = "no machine has it" if reaches & set(_DEAD) else "connections to it fail"
        text = f"dead address: node {facts.label(node_id)} advertises {address}, among others, but {how}"
        advice = "its other addresses work; to stop advertising this one, set COLUGO_SCOPE there"
        yield Finding(Level.WARNING, "connect", text, advice)


def answering(facts: Facts) -> Iterator[Finding]:
    """Check that each node which accepts connections describes itself."""
    if facts.nodes:
        text = f"{count(len(facts.nodes), 'node')} described themselves"
        if len(facts.nodes) == 1:
            text = f"node {next(iter(facts.nodes.values())).name} described itself"
        yield Finding(Level.OK, "describe", text)
    for node_id, why in facts.silent.items():
        outcomes = [found for one in facts.sockets_of(node_id) if (found := outcomes_of(facts, one))]
        if not outcomes or any(Reach.OPEN in found.values() for found in outcomes):
            text = f"node {facts.label(node_id)} does not describe itself: {why}"
            advice = "a callback blocks its loop, or it has another version of colugo: see its log"
            yield Finding(Level.WARNING, "describe", text, advice)
