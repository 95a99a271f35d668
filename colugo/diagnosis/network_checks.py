"""Checks of this machine and its network: scope, realm, multicast, port 5353 and static peers."""

from collections import Counter
from collections.abc import Iterator

from colugo.diagnosis.facts import Facts, InterfaceFact, Multicast, Reach, is_loopback
from colugo.diagnosis.finding import Finding, Level
from colugo.diagnosis.number_formats import count, some

_ALLOW_MDNS = "allow UDP port 5353 in and out, to and from 224.0.0.251 (nft, iptables, ufw or firewalld)"


def scope(facts: Facts) -> Iterator[Finding]:
    """Report the scope and realm in force."""
    if not facts.interfaces:
        text = (
            f"{facts.scope}, realm {facts.realm}: this machine has no address in scope, so it finds nothing"
        )
        advice = "bring the interface up; for scope host, that is the loopback (ip link set lo up)"
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
    """Check that multicast works on each interface."""
    for interface in facts.interfaces:
        if interface.multicast is not None:
            yield _multicast(facts, interface)


def _multicast(facts: Facts, one: InterfaceFact) -> Finding:
    where = f"{one.name} {one.address}"
    match one.multicast:
        case Multicast.NOT_SENT:
            text = f"{where}: sending a query to the mDNS group failed: {one.error}"
        case Multicast.NOT_RECEIVED:
            text = f"{where}: a query to the mDNS group was sent but did not come back to this machine"
        case Multicast.NOT_ANSWERED:
            text = f"{where}: a query to the mDNS group came back, but its answer was dropped"
        case _:
            took = f"a test query came back in {one.round_trip_ms:.1f} ms"
            return Finding(Level.OK, "multicast", f"{where}: {took}{_others(facts, one)}")
    advice = f"a firewall on this machine drops it: {_ALLOW_MDNS}"
    return Finding(Level.WRONG, "multicast", text, advice)


def _others(facts: Facts, interface: InterfaceFact) -> str:
    if is_loopback(interface.address):
        return ""
    others = {one for one in facts.answered_from if interface.has(one) and one != interface.address}
    if others:
        return f", and {count(len(others), 'other host')} answered: {some(sorted(others))}"
    return "; no other host answered, so this does not show that the network carries multicast"


def direct_hosts(facts: Facts) -> Iterator[Finding]:
    """Report hosts that answer a direct query but no multicast, and expected hosts that do not answer."""
    if not any(one.multicast is Multicast.WORKS for one in facts.interfaces):
        return  # reported already, and no host can answer over multicast
    for host in facts.hosts:
        if host.address in facts.answered_from:
            if host.given:
                yield Finding(Level.OK, "multicast", f"{host.address} answers multicast")
        elif host.answered:
            yield Finding(
                Level.WRONG,
                "multicast",
                f"{host.address} has colugo nodes and answers a direct query, but multicast does not get "
                "through between it and this machine",
                f"on both machines, {_ALLOW_MDNS}; enable multicast on switches and access points; or use "
                "COLUGO_PEERS",
            )
        elif host.error:
            text = f"{host.address} cannot be queried: {host.error}"
            yield Finding(Level.WRONG, "multicast", text, "give its address, and a --scope that reaches it")
        elif host.given:
            yield Finding(
                Level.WRONG,
                "multicast",
                f"{host.address} answers neither multicast nor a direct query to UDP port 5353",
                "run `colugo doctor` there too: perhaps no node runs there, or none in a scope that reaches "
                "this network; or its nodes run with COLUGO_MDNS=0, so that only COLUGO_PEERS finds them; or "
                "a firewall drops UDP port 5353",
            )


def port(facts: Facts) -> Iterator[Finding]:
    """Check that the mDNS port can be shared with the other programs that use it."""
    if facts.port_error:
        holder = f" by {some(facts.port_holders)}" if facts.port_holders else ""
        yield Finding(
            Level.WRONG,
            "port 5353",
            f"UDP port 5353 is held exclusively{holder}: {facts.port_error}",
            "stop that program, or make it share the port (SO_REUSEADDR and SO_REUSEPORT)",
        )
        return
    with_whom = f"shared with {some(facts.port_holders)}" if facts.port_holders else "free to use"
    yield Finding(Level.OK, "port 5353", f"UDP port 5353 is {with_whom}")


def discovered_nodes(facts: Facts) -> Iterator[Finding]:
    """Report the number of nodes in this realm and in others."""
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
        advice = f"if you expected to see them, set COLUGO_REALM to {' or '.join(sorted(realms))}"
        yield Finding(Level.WARNING, "nodes", text, advice)
    elif not here:
        advice = (
            "start a program that uses colugo; if one runs on another machine, run `colugo doctor` there "
            "and `colugo doctor ITS-ADDRESS` here"
        )
        yield Finding(Level.WARNING, "nodes", "no nodes found in any realm", advice)
    else:
        yield Finding(Level.OK, "nodes", text)


def _realm(facts: Facts, node_id: str) -> str:
    node = facts.nodes.get(node_id)
    return node.realm if node is not None else facts.sockets_of(node_id)[0].realm


def static_peers(facts: Facts) -> Iterator[Finding]:
    """Check that the peers in COLUGO_PEERS answer, and that nodes are linked to theirs."""
    advice = "start the node there with COLUGO_PORT set to that port, and open that TCP port in firewalls"
    for peer in facts.peers:
        if not peer.error and peer.realm != facts.realm:
            text = f"{peer.address} in COLUGO_PEERS is node {peer.node} in realm {peer.realm}, not in "
            text += f"{facts.realm}: it refuses to link"
            yield Finding(Level.WRONG, "peers", text, "set the same COLUGO_REALM for both")
        elif not peer.error:
            yield Finding(Level.OK, "peers", f"{peer.address} in COLUGO_PEERS is node {peer.node}")
        elif peer.reach is Reach.OPEN:
            text = f"{peer.address} in COLUGO_PEERS accepts connections, but is not a node: {peer.error}"
            yield Finding(Level.WRONG, "peers", text, "give the port of a node's own endpoint (COLUGO_PORT)")
        elif peer.reach is None:
            text = f"{peer.address} in COLUGO_PEERS cannot be queried: {peer.error}"
            yield Finding(Level.WRONG, "peers", text, "correct it, or give an address within the scope")
        else:
            text = f"{peer.address} in COLUGO_PEERS does not answer ({peer.reach}): {peer.error}"
            yield Finding(Level.WRONG, "peers", text, advice)
    for node in facts.nodes.values():
        for described in node.peers:
            if not described.linked:
                text = f"node {node.name} is not linked to its peer {described.address}"
                yield Finding(Level.WARNING, "peers", text, advice)
