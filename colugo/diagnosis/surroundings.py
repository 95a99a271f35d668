"""This machine and who is around: scope, realm, multicast, port 5353, peers."""

from collections import Counter
from collections.abc import Iterator

from colugo.diagnosis.facts import Facts, InterfaceFact, Multicast, Reach, is_loopback
from colugo.diagnosis.finding import Finding, Level
from colugo.diagnosis.wording import count, some

_ALLOW_MDNS = "allow UDP port 5353 in and out, to and from 224.0.0.251 (nft, iptables, ufw or firewalld)"


def scope(facts: Facts) -> Iterator[Finding]:
    """Scope and realm in force."""
    if not facts.interfaces:
        text = (
            f"{facts.scope}, realm {facts.realm}: this machine has none of its addresses, so nothing is found"
        )
        advice = "bring the interface up; of scope host, that is the loopback (ip link set lo up)"
        yield Finding(Level.WRONG, "scope", text, advice)
        return
    where = some(f"{one.name} {one.address}" for one in facts.interfaces)
    text = f"{facts.scope} ({where}), realm {facts.realm}"
    if facts.scope_note:
        advice = "bring a network interface up, or set COLUGO_SCOPE=host if that is what you want"
        yield Finding(Level.WARNING, "scope", f"{text}: {facts.scope_note}", advice)
    else:
        yield Finding(Level.OK, "scope", text)


def multicast(facts: Facts) -> Iterator[Finding]:
    """Whether multicast works on each interface."""
    for interface in facts.interfaces:
        if interface.multicast is not None:
            yield _multicast(facts, interface)


def _multicast(facts: Facts, one: InterfaceFact) -> Finding:
    where = f"{one.name} {one.address}"
    match one.multicast:
        case Multicast.NOT_SENT:
            text = f"{where}: a question to the mDNS group cannot be sent: {one.error}"
        case Multicast.NOT_HEARD:
            text = f"{where}: a question to the mDNS group was sent and did not come back to this machine"
        case Multicast.NOT_ANSWERED:
            text = f"{where}: a question to the mDNS group came back, but its answer was dropped"
        case _:
            took = f"a question of our own came back in {one.round_trip_ms:.1f} ms"
            return Finding(Level.OK, "multicast", f"{where}: {took}{_others(facts, one)}")
    advice = f"a firewall of this machine drops it: {_ALLOW_MDNS}"
    return Finding(Level.WRONG, "multicast", text, advice)


def _others(facts: Facts, interface: InterfaceFact) -> str:
    if is_loopback(interface.address):
        return ""
    others = {one for one in facts.answered_from if interface.has(one) and one != interface.address}
    if others:
        return f", and {count(len(others), 'other host')} answered: {some(sorted(others))}"
    return "; no other host answered, so the network beyond is not proven"


def direct_hosts(facts: Facts) -> Iterator[Finding]:
    """Hosts that answer when they are asked directly, but not over multicast."""
    if not any(one.multicast is Multicast.WORKS for one in facts.interfaces):
        return  # said already, and nothing else can be heard
    for host in facts.hosts:
        if host.address in facts.answered_from:
            if host.given:
                yield Finding(Level.OK, "multicast", f"{host.address} is heard")
        elif host.answered:
            yield Finding(
                Level.WRONG,
                "multicast",
                f"{host.address} has colugo nodes: it answers when it is asked directly, but multicast does "
                "not get through between it and this machine",
                f"on both machines, {_ALLOW_MDNS}; let switches and access points pass multicast; or use "
                "COLUGO_PEERS",
            )
        elif host.error:
            text = f"{host.address} cannot be asked: {host.error}"
            yield Finding(Level.WRONG, "multicast", text, "give its address, and a --scope that reaches it")
        elif host.given:
            yield Finding(
                Level.WRONG,
                "multicast",
                f"{host.address} answers neither multicast nor a direct question to UDP port 5353",
                "run `colugo doctor` there too: no node runs there in a scope that reaches this network, it "
                "runs with COLUGO_MDNS=0 and is to be found by COLUGO_PEERS, or a firewall drops UDP port "
                "5353",
            )


def port(facts: Facts) -> Iterator[Finding]:
    """Whether mDNS' port can be shared with the others that have it."""
    if facts.port_error:
        holder = f" by {some(facts.port_holders)}" if facts.port_holders else ""
        yield Finding(
            Level.WRONG,
            "port 5353",
            f"UDP port 5353 is held exclusively{holder}: {facts.port_error}",
            "stop that program, or let it share the port (SO_REUSEADDR and SO_REUSEPORT)",
        )
        return
    with_whom = f"shared with {some(facts.port_holders)}" if facts.port_holders else "free to use"
    yield Finding(Level.OK, "port 5353", f"UDP port 5353 is {with_whom}")


def heard(facts: Facts) -> Iterator[Finding]:
    """Who is there, in this realm and in others."""
    realms = Counter(_realm(facts, uuid) for uuid in facts.node_ids)
    here = realms.pop(facts.realm, 0)
    hosts = {facts.host_of(uuid) or uuid for uuid in facts.node_ids}
    others = ", ".join(f"{realm} ({number})" for realm, number in sorted(realms.items()))
    text = f"{count(here, 'node')} in realm {facts.realm}"
    if others:
        text += f"; other realms: {others}"
    if here or realms:
        text += f"; {count(len(hosts), 'host')} in all"
    if not here and realms:
        advice = f"if you expect them here, set COLUGO_REALM to {' or '.join(sorted(realms))}"
        yield Finding(Level.WARNING, "nodes", text, advice)
    elif not here:
        advice = (
            "start a program that uses colugo; if one runs on another machine, run `colugo doctor` there, "
            "and `colugo doctor ITS-ADDRESS` here"
        )
        yield Finding(Level.WARNING, "nodes", "no node is heard, of any realm", advice)
    else:
        yield Finding(Level.OK, "nodes", text)


def _realm(facts: Facts, node_id: str) -> str:
    node = facts.nodes.get(node_id)
    return node.realm if node is not None else facts.sockets_of(node_id)[0].realm


def static_peers(facts: Facts) -> Iterator[Finding]:
    """Whether the peers of COLUGO_PEERS answer."""
    advice = "start the node there with COLUGO_PORT set to that port, and let firewalls pass TCP to it"
    for peer in facts.peers:
        if not peer.error and peer.realm != facts.realm:
            text = f"{peer.address} of COLUGO_PEERS is node {peer.node} of realm {peer.realm}, not of "
            text += f"{facts.realm}: it refuses links"
            yield Finding(Level.WRONG, "peers", text, "set the same COLUGO_REALM for both")
        elif not peer.error:
            yield Finding(Level.OK, "peers", f"{peer.address} of COLUGO_PEERS is node {peer.node}")
        elif peer.reach is Reach.OPEN:
            text = f"{peer.address} of COLUGO_PEERS takes connections, but not as a node: {peer.error}"
            yield Finding(Level.WRONG, "peers", text, "give the port of a node's own endpoint (COLUGO_PORT)")
        elif peer.reach is None:
            text = f"{peer.address} of COLUGO_PEERS cannot be asked: {peer.error}"
            yield Finding(Level.WRONG, "peers", text, "correct it, or give an address that the scope reaches")
        else:
            text = f"{peer.address} of COLUGO_PEERS does not answer ({peer.reach}): {peer.error}"
            yield Finding(Level.WRONG, "peers", text, advice)
    for node in facts.nodes.values():
        for told in node.peers:
            if not told.linked:
                text = f"node {node.name} is not linked to its peer {told.address}"
                yield Finding(Level.WARNING, "peers", text, advice)
